// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { createServer } from "node:http";
import { createLogger, noMetrics } from "@dyn/common";
import { expect, it } from "vitest";
import { forwardEngineMetrics } from "./forward-engine-metrics.js";

it("adds the engine's own series, each name once, and does without when the engine is gone", async () => {
	const text = `# HELP python_info Other things.
# TYPE python_info gauge
python_info 1
# HELP trtllm_kv_cache_hit_rate Share of blocks.
# TYPE trtllm_kv_cache_hit_rate gauge
trtllm_kv_cache_hit_rate{model_name="m"} 0.5
# TYPE trtllm_ours histogram
trtllm_ours_bucket{le="1"} 3
`;
	const server = createServer((_, response) => response.end(text)).listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as { port: number };
	const own = "# TYPE trtllm_ours histogram\ntrtllm_ours_sum 1\n";
	const logged: string[] = [];
	const metrics = forwardEngineMetrics(
		{ ...noMetrics, expose: async () => own },
		`http://127.0.0.1:${port}/prometheus/metrics`,
		createLogger("warn", ({ message }) => logged.push(message)),
	);
	expect(await metrics.expose()).toBe(
		`${own}# HELP trtllm_kv_cache_hit_rate Share of blocks.
# TYPE trtllm_kv_cache_hit_rate gauge
trtllm_kv_cache_hit_rate{model_name="m"} 0.5
`,
	);
	server.closeAllConnections();
	server.close();
	await once(server, "close");
	expect(await metrics.expose()).toBe(own);
	expect(await metrics.expose()).toBe(own);
	expect(logged).toEqual(["the engine does not show its metrics"]);
});
