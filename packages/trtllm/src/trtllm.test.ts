// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, createRequestContext, DynError, type LogRecord } from "@dyn/common";
import type { Engine, EngineHealth } from "@dyn/engine";
import { createGenerateRequest, type EngineOutput, type GenerateRequest } from "@dyn/protocols";
import { createRuntime } from "@dyn/runtime";
import { afterEach, describe, expect, it, vi } from "vitest";
import { embeddedEngineArgs } from "./engine-args/embedded-engine-args.js";
import { mergeEngineArgs } from "./engine-args/merge-engine-args.js";
import { applyMiddleware } from "./handlers/handler.js";
import {
	createTrtllmWorker,
	defineHandler,
	type HandlerMiddleware,
	healthCheckPayload,
	loadEngineArgs,
} from "./index.js";

const output = (id: number): EngineOutput => ({
	index: 0,
	tokenIds: [id],
	logprobs: null,
	finishReason: null,
	stopTokenId: null,
	usage: null,
});
const modelStore = {
	directory: "/",
	list: async () => [],
	remove: async () => {},
	resolve: async (id: string) => ({ id, path: "/models/x", source: "store" as const, bytes: 1 }),
};

function scripted(calls: string[], health: () => EngineHealth = () => ({ status: "healthy" })): Engine {
	return {
		async start() {
			calls.push("start");
			return {
				model: "x",
				contextLength: 10,
				vocabSize: 5,
				eosTokenIds: [2],
				kvBlockSize: 32,
				totalKvBlocks: 3,
				maxNumSeqs: 4,
				maxNumBatchedTokens: 6,
				dpSize: 1,
				description: "scripted",
				capabilities: { logprobs: false, maxChoices: 1, kvEvents: false, features: [] },
			};
		},
		async *generate(request: GenerateRequest) {
			yield output(request.tokenIds[0]!);
		},
		async *kvEvents() {},
		load: () => [],
		health,
		drain: async () => void calls.push("drain"),
		close: async () => void calls.push("close"),
		logitsProcessors: { names: ["p"] },
	};
}

afterEach(() => {
	vi.useRealTimers();
});

describe("createTrtllmWorker", () => {
	it("serves an engine, publishes its card, and takes both back", async () => {
		const calls: string[] = [];
		const runtime = await createRuntime();
		const worker = await createTrtllmWorker({
			engine: scripted(calls),
			modelStore,
			model: "some-model",
			servedModelName: "shown",
			runtime,
			namespace: "n",
		});
		expect(worker.card).toMatchObject({
			name: "shown",
			source: "some-model",
			tokenizerPath: "/models/x",
			contextLength: 10,
			eosTokenIds: [2],
			logitsProcessors: ["p"],
			logprobs: false,
			files: null,
		});
		const { id, path } = worker.served.instance;
		expect(runtime.models.list()).toEqual([{ card: worker.card, id, path }]);
		const items = [];
		for await (const item of runtime
			.endpoint("dyn://n.backend.generate")
			.client()
			.generate(createGenerateRequest({ tokenIds: [4] }), createRequestContext()))
			items.push(item);
		expect(items).toEqual([output(4)]);
		await worker.drain();
		await worker.closed;
		expect(calls).toEqual(["start", "drain", "close"]);
		expect(runtime.models.list()).toEqual([]);
		expect(() => worker.generate(createGenerateRequest({ tokenIds: [1] }))).toThrow("the worker is closed");
		await runtime.close();
	});

	it("publishes the files of its model when told to, and makes nothing when it has none", async () => {
		const folder = mkdtempSync(join(tmpdir(), "dyn-worker-"));
		const metadata = { cacheDirectory: folder, baseUrl: "http://10.0.0.7:9090" };
		const here = {
			...modelStore,
			resolve: async (id: string) => ({ ...(await modelStore.resolve(id)), path: folder }),
		};
		const calls: string[] = [];
		const failed = createTrtllmWorker({ engine: scripted(calls), modelStore: here, metadata });
		await expect(failed).rejects.toMatchObject({ code: "MODEL_FORMAT" });
		expect(calls).toEqual(["close"]);

		for (const name of ["config.json", "tokenizer.json"]) writeFileSync(join(folder, name), "{}");
		await using worker = await createTrtllmWorker({
			engine: scripted([]),
			modelStore: here,
			model: "m",
			metadata,
		});
		expect(worker.runtime.models.list()[0]!.card.files).toMatchObject({
			config: { path: "http://10.0.0.7:9090/v1/metadata/dynamo/backend/generate/m/_base/config.json" },
			tokenizer: { sizeBytes: 2 },
			tokenizerConfig: null,
		});
		rmSync(folder, { recursive: true });
	});

	it("runs a handler of its own inside middleware, outermost first", async () => {
		const order: string[] = [];
		const named =
			(name: string): HandlerMiddleware =>
			(next) => ({
				name,
				async *generate(request, context) {
					order.push(name);
					yield* next.generate(request, context);
				},
			});
		await using worker = await createTrtllmWorker({
			engine: scripted([]),
			modelStore,
			handler: (engine) =>
				defineHandler({
					name: "mine",
					async *generate(request, context) {
						order.push("mine");
						yield output(1);
						yield* engine.generate(request, context);
					},
				}),
			middleware: [named("outer"), named("inner")],
		});
		const items = [];
		for await (const { tokenIds } of worker.generate(createGenerateRequest({ tokenIds: [3] })))
			items.push(...tokenIds);
		expect([order, items]).toEqual([
			["outer", "inner", "mine"],
			[1, 3],
		]);
		expect(applyMiddleware({ name: "x", generate: async function* () {} }, []).name).toBe("x");
	});

	it("closes what it made when a step fails, and checks names before it loads anything", async () => {
		const calls: string[] = [];
		const bad = createTrtllmWorker({ engine: scripted(calls), modelStore, namespace: "not a name" });
		await expect(bad).rejects.toThrow('namespace "not a name" may hold');
		expect(calls).toEqual(["close"]);

		const runtime = await createRuntime();
		const noCard = {
			...runtime,
			endpoint: (path: string) => runtime.endpoint(path),
			models: {
				...runtime.models,
				publish: async () => {
					throw new DynError("UNAVAILABLE", "no discovery");
				},
			},
		};
		const failed = createTrtllmWorker({
			engine: scripted(calls),
			modelStore,
			runtime: noCard as unknown as typeof runtime,
		});
		await expect(failed).rejects.toThrow("no discovery");
		expect(calls).toEqual(["close", "start", "close"]);
		expect(runtime.endpoint("dynamo.backend.generate").client().instances()).toEqual([]);
		await runtime.close();
	});

	it("gives up when it is aborted while the model is pulled or the engine starts", async () => {
		const stop = new AbortController();
		const reason = new DynError("CANCELLED", "enough");
		const seen: (AbortSignal | undefined)[] = [];
		const calls: string[] = [];
		const pulling = createTrtllmWorker({
			engine: scripted(calls),
			modelStore: {
				...modelStore,
				resolve: async (id, options) => {
					seen.push(options?.signal);
					stop.abort(reason);
					return modelStore.resolve(id);
				},
			},
			signal: stop.signal,
		});
		await expect(pulling).rejects.toBe(reason);
		expect(seen).toEqual([stop.signal]);
		expect(calls).toEqual(["close"]);
	});

	it("sends a canary through handler and middleware after silence, with a deadline of its own", async () => {
		vi.useFakeTimers();
		const seen: { healthCheck: boolean; aborted: boolean }[] = [];
		const frozen: HandlerMiddleware = (next) => ({
			...next,
			async *generate(request, { signal }) {
				yield output(1);
				if (request.healthCheck)
					await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
				seen.push({ healthCheck: request.healthCheck, aborted: signal.aborted });
			},
		});
		await using worker = await createTrtllmWorker({
			engine: scripted([]),
			modelStore,
			middleware: [frozen],
			canaryWaitMs: 1000,
		});
		const client = worker.runtime.endpoint("dynamo.backend.generate").client();
		const ask = async () => {
			const request = createGenerateRequest({ tokenIds: [1] });
			for await (const _ of client.generate(request, createRequestContext())) await null;
		};
		for (let i = 0; i < 4; i++) {
			await vi.advanceTimersByTimeAsync(600);
			await ask();
		}
		expect(seen.every(({ healthCheck }) => !healthCheck)).toBe(true);
		await vi.advanceTimersByTimeAsync(1000 + 10_000);
		expect(seen.at(-1)).toEqual({ healthCheck: true, aborted: true });
		expect(worker.healthy).toBe(false);
	});

	it("is in discovery only while its engine is healthy", async () => {
		vi.useFakeTimers();
		let health: EngineHealth = { status: "healthy" };
		const runtime = await createRuntime();
		await using worker = await createTrtllmWorker({
			engine: scripted([], () => health),
			modelStore,
			runtime,
			disaggregationMode: "decode",
		});
		expect(worker.card).toMatchObject({ workerType: "decode", needs: [["prefill"]] });
		const client = runtime.endpoint("dynamo.backend.generate").client();
		for (const sick of [
			{ status: "restarting", reason: "killed" },
			{ status: "stalled", sinceMs: 1 },
		] as const) {
			health = sick;
			await vi.advanceTimersByTimeAsync(1000);
			expect([runtime.models.list(), client.instances(), worker.healthy]).toEqual([[], [], false]);
			health = { status: "healthy" };
			await vi.advanceTimersByTimeAsync(1000);
			expect(runtime.models.list().map(({ id }) => id)).toEqual([worker.served.instance.id]);
			expect([client.instances().length, worker.healthy]).toEqual([1, true]);
		}
	});

	it("takes place and name from its role", async () => {
		await using worker = await createTrtllmWorker({
			engine: scripted([]),
			modelStore,
			disaggregationMode: "prefill",
		});
		expect(worker.served.instance.path.component).toBe("prefill");
		expect(worker.card).toMatchObject({ workerType: "prefill", endpointTypes: [], needs: [["decode"]] });
		const encode = createTrtllmWorker({ engine: scripted([]), modelStore, disaggregationMode: "encode" });
		await expect(encode).rejects.toThrow("no built-in handler for encode workers");
	});

	it("leaves discovery and closes when its engine dies", async () => {
		vi.useFakeTimers();
		let health: EngineHealth = { status: "healthy" };
		const calls: string[] = [];
		const records: LogRecord[] = [];
		const runtime = await createRuntime();
		const worker = await createTrtllmWorker({
			engine: scripted(calls, () => health),
			modelStore,
			runtime,
			logger: createLogger("error", (record) => records.push(record)),
		});
		await vi.advanceTimersByTimeAsync(60_000);
		expect(runtime.models.list()).toHaveLength(1);
		health = { status: "dead", reason: "out of memory" };
		await vi.advanceTimersByTimeAsync(2000);
		await worker.closed;
		expect([runtime.models.list(), calls]).toEqual([[], ["start", "close"]]);
		expect(records.map(({ fields }) => fields["reason"])).toEqual(["out of memory"]);
		await runtime.close();
		expect(vi.getTimerCount()).toBe(0);
	});

	it("is unhealthy when its engine is", async () => {
		let health: EngineHealth = { status: "healthy" };
		await using worker = await createTrtllmWorker({ engine: scripted([], () => health), modelStore });
		expect(worker.healthy).toBe(true);
		health = { status: "dead", reason: "gone" };
		expect(worker.healthy).toBe(false);
	});

	it("is unhealthy from the moment it begins to drain", async () => {
		const worker = await createTrtllmWorker({ engine: scripted([]), modelStore });
		const drained = worker.drain({ graceMs: 1 });
		expect(worker.healthy).toBe(false);
		await drained;
	});
});

describe("engine arguments", () => {
	it("merge deeply, the override last, and say what was replaced", () => {
		const records: LogRecord[] = [];
		const logger = createLogger("warn", (record) => records.push(record));
		const merged = mergeEngineArgs({ a: 1, kv: { x: 1, y: 2 } }, { kv: { y: 3 } }, { a: 5, b: [1] }, logger);
		expect(merged).toEqual({ a: 5, kv: { x: 1, y: 3 }, b: [1] });
		expect(records.map(({ fields }) => fields)).toEqual([
			{ argument: "kv.y", by: "extra engine args" },
			{ argument: "a", by: "override engine args" },
		]);
	});

	it("become options of the embedded engine, or are refused by name", () => {
		expect(
			embeddedEngineArgs({
				max_batch_size: 4,
				max_seq_len: undefined,
				kv_cache_config: { free_gpu_memory_fraction: 0.5, tokens_per_block: 32 },
			}),
		).toEqual({ maxNumSeqs: 4, kvCacheMemoryFraction: 0.5 });
		expect(() => embeddedEngineArgs({ kv_cache_config: { tokens_per_block: 64 } })).toThrow(
			"kv_cache_config.tokens_per_block: 64; it is always 32",
		);
		for (const name of ["tensor_parallel_size", "constructor"])
			expect(() => embeddedEngineArgs({ [name]: 2 })).toThrow(`cannot honour ${name}: 2`);
	});

	it.each([
		[{ max_batch_size: "4" }, 'max_batch_size must be a positive integer, got "4"'],
		[{ threads: 0 }, "threads must be a positive integer, got 0"],
		[
			{ kv_cache_config: { free_gpu_memory_fraction: 90 } },
			"kv_cache_config.free_gpu_memory_fraction must be a number above 0 and at most 1, got 90",
		],
		[{ quantization: "fp8" }, 'quantization must be one of int8, int4, got "fp8"'],
		[{ embedding_pooling: "cls" }, 'embedding_pooling must be one of mean, last, got "cls"'],
		[{ precision: "fp4" }, 'precision must be one of auto, f32, got "fp4"'],
	])("refuse %j", (args, message) => {
		expect(() => embeddedEngineArgs(args)).toThrow(message);
	});

	it("are read from YAML", async () => {
		const folder = mkdtempSync(join(tmpdir(), "dyn-args-"));
		const file = join(folder, "args.yaml");
		writeFileSync(file, "max_batch_size: 3\nkv_cache_config:\n  free_gpu_memory_fraction: 0.1\n");
		expect(await loadEngineArgs(file)).toEqual({
			max_batch_size: 3,
			kv_cache_config: { free_gpu_memory_fraction: 0.1 },
		});
		writeFileSync(file, "- a list");
		await expect(loadEngineArgs(file)).rejects.toThrow("must hold a YAML mapping");
		await expect(loadEngineArgs(join(folder, "none.yaml"))).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
		rmSync(folder, { recursive: true });
	});
});

it("asks a canary for one greedy, urgent token", () => {
	expect(healthCheckPayload(1)).toMatchObject({
		tokenIds: [1],
		sampling: { temperature: 0 },
		stop: { maxTokens: 1 },
		routing: { priority: 1 },
		healthCheck: true,
	});
});
