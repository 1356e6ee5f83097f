// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import { createMockerEngine } from "@dyn/mocker";
import { createHttpDouble } from "@dyn/mocker/http";
import { createTrtllmDouble } from "@dyn/mocker/openengine";
import { createSmgDouble } from "@dyn/mocker/smg";
import type { ModelStore } from "@dyn/models/store";
import { createGenerateRequest, type GenerateRequestInit } from "@dyn/protocols";
import { createTrtllmWorker } from "@dyn/trtllm";
import { afterEach, beforeEach, expect, it } from "vitest";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "protocols-"));
	writeFileSync(join(folder, "config.json"), JSON.stringify({ vocab_size: 32_000, eos_token_id: 2 }));
});
afterEach(() => rmSync(folder, { recursive: true }));

const options = { modelName: "m", speedupRatio: 0, maxModelLen: 2048 };
const engine = () => createMockerEngine(options);
const DOUBLES = {
	openengine: (port: number) => createTrtllmDouble({ engine: engine(), port }),
	smg: (port: number) => createSmgDouble({ engine: engine(), port }),
	http: (port: number) => createHttpDouble({ engine: options, port }),
};

it.each(["openengine", "smg", "http"] as const)(
	"%s: serves an engine that runs already, notices that it is gone, and serves the next one at its address",
	async (protocol) => {
		const first = await DOUBLES[protocol](0);
		const address = "url" in first ? new URL(first.url).host : first.address;
		await using worker = await createTrtllmWorker({
			engine: "trtllm",
			modelStore: { resolve: async () => ({ id: "m", path: folder }) } as unknown as ModelStore,
			trtllm: {
				grpcEndpoint: address,
				serve: { protocol, maxSeqLen: 2048, guidedDecodingBackend: "xgrammar" },
			},
		});
		const tokens = async (init: Partial<GenerateRequestInit> = {}) => {
			const request = createGenerateRequest({
				tokenIds: [5, 6, 7],
				sampling: { temperature: 0 },
				stop: { maxTokens: 6 },
				...init,
			});
			const ids: number[] = [];
			for await (const { tokenIds } of worker.generate(request, createRequestContext()))
				ids.push(...tokenIds);
			return ids;
		};
		const answer = await tokens();
		expect(answer).toHaveLength(6);
		expect(worker.info.capabilities.features).toContain("guided_choice");
		await expect(tokens({ sampling: { n: 2, temperature: 0 } })).rejects.toThrow(
			"TLLM_ALLOW_N_GREEDY_DECODING=1",
		);
		await first.close();
		await expect.poll(() => worker.engine.health().status, { timeout: 10_000 }).toBe("restarting");
		await expect(tokens()).rejects.toMatchObject({ code: "UNAVAILABLE" });
		await using _second = await DOUBLES[protocol](Number(address.split(":").at(-1)));
		await expect.poll(() => worker.engine.health().status, { timeout: 20_000 }).toBe("healthy");
		expect(await tokens()).toEqual(answer);
	},
);
