// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { createRequestContext, DynError } from "@dyn/common";
import { createMockerEngine } from "@dyn/mocker";
import { createHttpDouble } from "@dyn/mocker/http";
import { createTrtllmDouble } from "@dyn/mocker/openengine";
import {
	createOpenEngineServer,
	messages,
	type OpenEngineServer,
	type OpenEngineService,
} from "@dyn/openengine";
import {
	createGenerateRequest,
	type EngineOutput,
	type GenerateRequest,
	type KvSession,
} from "@dyn/protocols";
import { decodeKvSession, encodeKvSession } from "@dyn/protocols/dynamo";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createTrtllmWorker, type TrtllmWorker, type TrtllmWorkerOptions } from "@dyn/trtllm";
import type { EngineProtocol } from "@dyn/trtllm/serve";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let runtime: Runtime;
const opened: { close(): Promise<unknown> }[] = [];
beforeEach(async () => {
	runtime = await createRuntime();
});
afterEach(async () => {
	for (const each of opened.splice(0).reverse()) await each.close();
	await runtime.close();
});
const keep = <T extends { close(): Promise<unknown> }>(each: T): T => {
	opened.push(each);
	return each;
};

const workerOf = async (
	grpcEndpoint: string,
	disaggregationMode: "agg" | "prefill" | "decode",
	{ protocol = "openengine", ...options }: Partial<TrtllmWorkerOptions> & { protocol?: EngineProtocol } = {},
) =>
	keep(
		await createTrtllmWorker({
			runtime,
			engine: "trtllm",
			disaggregationMode,
			trtllm: { grpcEndpoint, serve: { protocol, maxSeqLen: 2048 } },
			...options,
		}),
	);
async function ask(
	worker: TrtllmWorker,
	request: GenerateRequest,
	signal?: AbortSignal,
): Promise<EngineOutput[]> {
	const outputs = [];
	for await (const output of worker.generate(request, createRequestContext(signal ? { signal } : {})))
		outputs.push(output);
	return outputs;
}
const tokensOf = (outputs: readonly EngineOutput[]) => outputs.flatMap(({ tokenIds }) => tokenIds);
/** As it goes from worker to frontend to worker. */
const relayed = (session: KvSession): KvSession =>
	decodeKvSession(parseJson(stringifyJson(encodeKvSession(session))));
const decode = (request: GenerateRequest, session: KvSession): GenerateRequest => ({
	...request,
	disaggregation: { role: "decode", session },
});

describe.each(["openengine", "http"] as const)("two doubles of TensorRT-LLM over %s", (protocol) => {
	const prompt = Array.from({ length: 150 }, (_, i) => 100 + i);
	const request = createGenerateRequest({
		tokenIds: prompt,
		sampling: { temperature: 0 },
		stop: { maxTokens: 24, ignoreEos: true },
		output: { logprobs: 0 },
	});
	/** Its address. */
	const double = async (): Promise<string> => {
		const engine = { speedupRatio: 0, maxModelLen: 2048 };
		if (protocol === "http") return new URL(keep(await createHttpDouble({ engine })).url).host;
		return keep(await createTrtllmDouble({ engine: createMockerEngine(engine) })).address;
	};

	it("prefill in one and decode in the other give what one gives alone", async () => {
		const [one, other] = [await double(), await double()];
		const [prefill, decoder, alone] = [
			await workerOf(one, "prefill", { protocol }),
			await workerOf(other, "decode", { protocol }),
			await workerOf(other, "agg", { protocol }),
		];
		const [prefilled, ...more] = await ask(prefill, request);
		expect(more).toEqual([]);
		expect(prefilled).toMatchObject({ finishReason: "length", kvSession: { transferBackend: "DEFAULT" } });
		const outputs = await ask(decoder, decode(request, relayed(prefilled!.kvSession!)));
		expect(tokensOf(outputs)).toEqual(tokensOf(await ask(alone, request)));
		expect(outputs.at(-1)).toMatchObject({ finishReason: "length", usage: { completionTokens: 24 } });
		expect(prefilled!.tokenIds).toEqual(tokensOf(outputs).slice(0, 1));
	});

	it("a decode worker's canary goes the whole way, and says when there is no way", async () => {
		const [one, other] = [await double(), await double()];
		const prefill = await workerOf(one, "prefill", { protocol });
		const prefillCanary = prefill.served.instance.path;
		const decoder = await workerOf(other, "decode", { protocol, canaryWaitMs: 20, prefillCanary });
		await expect.poll(() => decoder.healthy, { timeout: 5000 }).toBe(true);
		await prefill.close();
		await expect.poll(() => decoder.healthy, { timeout: 20_000 }).toBe(false);
	});
});

describe("an engine that we play", () => {
	/** What a relay may spoil: fractions, integers beyond 2^53, lists, nested nulls, strings that look like numbers. */
	const attributes = {
		ctx_info_endpoint: "tcp://10.0.0.7:5600",
		opaque_state: "AAEC/w==",
		disagg_request_id: "18446744073709551615",
		first_gen_tokens: [11],
		draft_tokens: [],
		ctx_dp_rank: 0,
		schedule_style: 0,
		ttft_ms: 12.5,
		first_gen_log_probs: [[[11, -0.125, null]], 1e-9],
		ctx_usage: { prompt_tokens: 3, exact: 9007199254740991, deep: { list: [true, null, "1", -0.5] } },
	};
	const session = {
		sessionId: "18446744073709551615",
		transferBackend: "NIXL",
		endpoints: [{ host: "10.0.0.7", port: 5600, protocol: "tcp" }],
		dpRank: 0,
		attributesStruct: attributes,
	};
	const request = createGenerateRequest({ tokenIds: [1, 2, 3], stop: { maxTokens: 2 } });
	const finished = {
		finished: { outputIndex: 0, reason: messages.FinishReason.LENGTH },
		usage: { promptTokens: 3, completionTokens: 2, totalTokens: 5 },
	};
	let seen: messages.GenerateRequest[];
	/** The first token of decode requests waits for it. */
	let collected: Promise<void>;
	let whenAborted: Promise<void>;
	let isAborted: boolean;

	async function play(): Promise<OpenEngineServer> {
		seen = [];
		collected = Promise.resolve();
		isAborted = false;
		const unsupported = async () => {
			throw new DynError("UNIMPLEMENTED", "not played");
		};
		const service = {
			async *generate(message: messages.GenerateRequest, { signal }: { signal: AbortSignal }) {
				seen.push(message);
				const { requestId } = message;
				if (message.extra?.["request_type"] === "context_only") {
					yield { requestId, token: { outputIndex: 0, tokens: [{ tokenId: 11 }] } };
					// The real one may say so before the handoff: that is not the end.
					yield { requestId, ...finished };
					yield { requestId, prefillReady: { kvSession: session } };
					return;
				}
				whenAborted = once(signal, "abort").then(() => {
					isAborted = true;
				});
				await collected;
				yield { requestId, token: { outputIndex: 0, tokens: [{ tokenId: 11 }] } };
				if (signal.aborted) return;
				await Promise.race([whenAborted, new Promise((resolve) => setTimeout(resolve, 50))]);
				yield { requestId, token: { outputIndex: 0, tokens: [{ tokenId: 12 }] } };
				yield { requestId, ...finished };
			},
			getServerInfo: async () => ({
				engineName: "tensorrt_llm",
				schemaRevision: 1,
				minimumClientRevision: 1,
				supportedModels: ["m"],
			}),
			getModelInfo: async () => ({ modelId: "m", maxContextLength: 2048 }),
			health: async () => ({ state: messages.HealthState.READY }),
			abort: async () => ({ status: messages.AbortStatus.ALREADY_FINISHED }),
			getLoad: unsupported,
			loadLora: unsupported,
			unloadLora: unsupported,
			listLoras: unsupported,
			getKvEventSources: unsupported,
			// biome-ignore lint/correctness/useYield: it has none
			async *subscribeKvEvents() {
				throw new DynError("UNIMPLEMENTED", "not played");
			},
		} as unknown as OpenEngineService;
		return keep(await createOpenEngineServer({ service }));
	}

	it("gets its own handoff back, attribute for attribute", async () => {
		const { address } = await play();
		const [prefill, decoder] = [await workerOf(address, "prefill"), await workerOf(address, "decode")];
		const [{ kvSession }] = (await ask(prefill, request)) as [EngineOutput];
		await ask(decoder, decode(request, relayed(kvSession!)));
		expect(seen[0]).toMatchObject({
			stopping: { maxTokens: 1 },
			extra: { request_type: "context_only", detokenize: false },
		});
		expect(seen[1]!.kv!.session).toEqual(session);
		expect(seen[1]!.extra).toEqual({ detokenize: false });
	});

	it.each<[string, Partial<KvSession>]>([
		["a session id that is no integer", { sessionId: "0x12" }],
		["no id at all", { sessionId: "", attributes: { opaque_state: "AAAA" } }],
		["nowhere to go", { endpoints: [], attributes: {} }],
		["an endpoint without port", { endpoints: [{ host: "10.0.0.7", port: 0, protocol: "tcp" }] }],
		["an address without host", { attributes: { ...attributes, ctx_info_endpoint: ":5600" } }],
		["state that is no base64", { attributes: { ...attributes, opaque_state: "AAE" } }],
		["tokens that are no integers", { attributes: { ...attributes, first_gen_tokens: [1.5] } }],
		[
			"an id that lost its digits",
			{ attributes: { ...attributes, disagg_request_id: 18446744073709552000 } },
		],
		["a style that does not exist", { attributes: { ...attributes, schedule_style: 2 } }],
	])("never hears of a handoff with %s", async (_, change) => {
		const { address } = await play();
		const decoder = await workerOf(address, "decode");
		const { attributesStruct, ...rest } = session;
		const asking = ask(decoder, decode(request, { ...rest, attributes: attributesStruct, ...change }));
		await expect(asking).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		await expect(asking).rejects.toThrow(/disaggregated_params\.\S+ .*unchanged/);
		expect(seen).toEqual([]);
	});

	it("goes on to the first token of a decode request that nobody waits for, and is told to stop there", async () => {
		const { address } = await play();
		const [prefill, decoder] = [await workerOf(address, "prefill"), await workerOf(address, "decode")];
		let collect = () => {};
		collected = new Promise((resolve) => {
			collect = resolve;
		});
		const stop = new AbortController();
		const { attributesStruct, ...rest } = session;
		const asking = ask(decoder, decode(request, { ...rest, attributes: attributesStruct }), stop.signal);
		await expect.poll(() => seen.length).toBe(1);
		stop.abort();
		expect(await asking).toMatchObject([{ finishReason: "cancelled", tokenIds: [] }]);
		// Round trips later the engine would know of an abort.
		for (let i = 0; i < 20; i++) await ask(prefill, request);
		const early = isAborted;
		collect();
		expect(early).toBe(false);
		await whenAborted;
	});
});
