// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createLogger } from "@dyn/common";
import { createFrontend, type Frontend } from "@dyn/frontend";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { createTrtllmWorker, type TrtllmWorker } from "@dyn/trtllm";
import type { EngineProtocol } from "@dyn/trtllm/serve";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
// @boundaries-ignore one helper writes this model for the tests of every package
import { writeWeightlessModel } from "../../../packages/runtime/test/weightless-model.js";
import { streamCompletion } from "./completion-stream.js";
import { eventually } from "./server-process.js";

const engine = fileURLToPath(new URL("./__fixtures__/slow-double.mjs", import.meta.url));
const MODEL = "simulated";
let folder: string;
let metrics: ReturnType<typeof createPrometheusMetrics>;
let runtime: Runtime;
let frontend: Frontend;
let workers: TrtllmWorker[];

/** A worker with an engine process of its own, whose pids land in `pids`, newest last. */
async function startWorker(protocol: EngineProtocol, pids: number[]): Promise<TrtllmWorker> {
	const logger = createLogger("info", ({ message, fields }) => {
		if (message === "the engine is ready") pids.push(fields["pid"] as number);
	});
	const worker = await createTrtllmWorker({
		runtime,
		engine: "trtllm",
		model: folder,
		servedModelName: MODEL,
		metrics,
		logger,
		trtllm: {
			environment: {
				...process.env,
				DYN_TRTLLM_HEALTH_CHECK_INTERVAL: "0.1",
				DYN_TRTLLM_HEALTH_SHUTDOWN_TIMEOUT: "1",
			},
			serve: { protocol, command: [process.execPath, engine], maxSeqLen: 2048 },
			restartDelayMs: () => 100,
			stall: { tokenMs: 1500 },
		},
	});
	workers.push(worker);
	return worker;
}

const stream = (prompt: string, onText: () => void) =>
	streamCompletion(frontend.address, { model: MODEL, prompt, max_tokens: 60, temperature: 0 }, onText);

beforeAll(async () => {
	folder = await writeWeightlessModel(mkdtempSync(join(tmpdir(), "trtllm-fleet-")));
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
	workers = [];
	metrics = createPrometheusMetrics();
	runtime = await createRuntime({ metrics });
	frontend = await createFrontend({ runtime, port: 0, metrics });
});
afterEach(async () => {
	await frontend.close();
	for (const worker of workers) await worker.close();
	await runtime.close();
});

it.each([
	["openengine", "is killed", "SIGKILL", 1000],
	["smg", "is killed", "SIGKILL", 1000],
	["http", "is killed", "SIGKILL", 1000],
	["openengine", "hangs and says that it is well", "SIGUSR2", 10_000],
] as const)(
	"%s: no client notices an engine that %s; its worker leaves discovery and comes back with the next one",
	async (protocol, _, signal, limitMs) => {
		const pids: number[] = [];
		const worker = await startWorker(protocol, pids);
		await startWorker(protocol, []);
		await frontend.ready;
		const client = runtime.endpoint(worker.served.instance.path).client();
		await eventually("two instances", async () => client.instances().length === 2);
		const prompts = Array.from({ length: 6 }, (_, i) => `Tell me about the number ${i}:`);
		const ask = (onText: () => void) => Promise.all(prompts.map((prompt) => stream(prompt, onText)));
		const undisturbed = await ask(() => {});
		expect(undisturbed.map(({ errors, isWhole }) => [errors, isWhole])).toEqual(
			prompts.map(() => [[], true]),
		);

		let tokens = 0;
		const isThere = () => client.instances().some(({ id }) => id === worker.served.instance.id);
		let gone: Promise<number> | null = null;
		const disturbed = await ask(() => {
			if (++tokens !== 60) return;
			process.kill(pids.at(-1)!, signal);
			gone = eventually("out of discovery", async () => !isThere());
		});
		expect(disturbed).toEqual(undisturbed);
		expect(await gone).toBeLessThan(limitMs);
		const moved = /^dynamo_frontend_model_migration_total\{.*\} (\d+)$/m.exec(await metrics.expose())?.[1];
		expect(Number(moved)).toBeGreaterThan(0);
		await eventually("back in discovery", async () => isThere(), 30_000);
		expect(pids.length).toBe(2);
		expect(worker.healthy).toBe(true);
		expect(await ask(() => {})).toEqual(undisturbed);
		await client.close();
	},
);

it("refuses to start with a configuration that cannot work, and says what to change", async () => {
	const start = createTrtllmWorker({
		runtime,
		engine: "trtllm",
		model: folder,
		trtllm: { environment: process.env, serve: { command: [process.execPath, engine] } },
	});
	await expect(start).rejects.toThrow(
		/reports its context length only when it was told one.*set --max-seq-len/s,
	);
});
