// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { conformanceCases } from "@dyn/engine/conformance";
import {
	createOpenEngineClient,
	createOpenEngineEngine,
	type MessageInit,
	messages as m,
	type OpenEngineClient,
} from "@dyn/openengine";
import { runWireConformance } from "@dyn/openengine/conformance";
import { createGenerateRequest, type EngineOutput, type GenerateRequestInit } from "@dyn/protocols";
import { afterEach, describe, expect, it } from "vitest";
import { createMockerEngine } from "../engine/mocker-engine.js";
import { createTrtllmDouble, type TrtllmDoubleOptions } from "./trtllm-double.js";
import { TRTLLM_QUIRKS } from "./trtllm-quirks.js";
import { trtllmService } from "./trtllm-service.js";

const made: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const close of made.splice(0).reverse()) await close();
});

const newEngine = () => createMockerEngine({ speedupRatio: 0, vocabSize: 1000, maxModelLen: 1024 });

async function double(
	options: Partial<TrtllmDoubleOptions> = {},
): Promise<OpenEngineClient & { readonly address: string }> {
	const served = await createTrtllmDouble({ engine: newEngine(), ...options });
	made.push(() => served.close());
	const client = await createOpenEngineClient({ endpoint: served.address });
	made.push(async () => client.close());
	return Object.assign(client, { address: served.address });
}

let nextId = 0;
async function generate(
	client: OpenEngineClient,
	request: MessageInit<m.GenerateRequest> = {},
	options = {},
): Promise<m.GenerateResponse[]> {
	const responses: m.GenerateResponse[] = [];
	for await (const response of client.generate(
		{
			requestId: `r${nextId++}`,
			model: "mocker",
			tokenIds: { ids: [5, 6, 7] },
			stopping: { maxTokens: 8 },
			...request,
		},
		options,
	))
		responses.push(response);
	return responses;
}

const tokensOf = (responses: readonly m.GenerateResponse[]) =>
	responses.flatMap(({ token }) => token?.tokens.map(({ tokenId }) => tokenId) ?? []);

describe("the strict personality", () => {
	it.each(["aggregated", "prefill", "decode"] as const)(
		"keeps the contract on the wire as %s",
		async (role) => {
			const { address } = await double({ personality: "strict", role });
			const report = await runWireConformance({ endpoint: address });
			expect(report.results.filter(({ outcome }) => outcome === "failed")).toEqual([]);
			expect(report.passed).toBeGreaterThan(10);
		},
	);
});

describe("TensorRT-LLM's personality", () => {
	it("breaks the contract on the wire in those points in which the engine is known to", async () => {
		const { address } = await double({});
		const report = await runWireConformance({ endpoint: address });
		expect(report.results.filter(({ outcome }) => outcome === "failed")).toEqual([]);
		expect(report.known).toBe(4);
		expect(report.passed).toBeGreaterThan(18);
	});

	it("does not say its role or its context, and serves any model", async () => {
		const client = await double();
		const info = await client.getServerInfo({});
		expect(info).toMatchObject({
			engineName: "tensorrt_llm",
			engineRole: m.EngineRole.UNSPECIFIED,
			extra: undefined,
		});
		expect((await client.getModelInfo({ model: "anything" })).maxContextLength).toBeUndefined();
		await expect(client.getModelInfo({ model: "" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		expect(tokensOf(await generate(client, { model: "anything" }))).toHaveLength(8);
		await expect(generate(client, { model: "" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	});

	it("answers 32 tokens when nothing is said", async () => {
		expect(tokensOf(await generate(await double(), { stopping: {} }))).toHaveLength(32);
	});

	it("has finished whatever it does not know, and aborts no session", async () => {
		const client = await double();
		expect((await client.abort({ requestId: "never" })).status).toBe(m.AbortStatus.ALREADY_FINISHED);
		await expect(client.abort({ kvSession: { sessionId: "1" } })).rejects.toMatchObject({
			code: "UNIMPLEMENTED",
		});
	});

	it.each<[string, MessageInit<m.GenerateRequest>, object]>([
		["media", { media: [{ modality: m.Modality.IMAGE, url: "http://x" }] }, {}],
		["LoRA", { loraName: "a" }, {}],
		["bypass_prefix_cache", { kv: { bypassPrefixCache: true } }, {}],
		["guided choice", { guided: { choice: { choices: ["a"] } } }, {}],
		["priority", {}, { priority: 1 }],
		["a target rank", {}, { targetDpRank: 0 }],
	])("does not implement %s", async (_, request, options) => {
		await expect(generate(await double(), request, options)).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
	});

	it("does not implement KV events, unless it is told where they are", async () => {
		const client = await double();
		await expect(client.getKvEventSources({})).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
		const newer = await double({ kvEventSources: [{ transport: "zmq", topic: "kv", dataParallelRank: 0 }] });
		expect((await newer.getKvEventSources({})).sources).toMatchObject([{ transport: "zmq", topic: "kv" }]);
	});

	it("refuses several greedy choices and more than 64 stop conditions", async () => {
		const client = await double();
		const greedy = generate(client, { sampling: { temperature: 0, numSequences: 2 } });
		await expect(greedy).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		const conditions = Array.from({ length: 65 }, (_, stopTokenId) => ({ stopTokenId }));
		await expect(generate(client, { stopping: { conditions } })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
	});

	it("sends tokens in bursts when there are stop texts", async () => {
		const stopping = { maxTokens: 10, conditions: [{ stopText: "END" }] };
		const responses = await generate(await double(), { stopping });
		expect(responses.flatMap(({ token }) => (token ? [token.tokens.length] : []))).toEqual([4, 4, 2]);
		expect(responses.at(-1)?.finished?.reason).toBe(m.FinishReason.LENGTH);
	});

	it("ends the request of a reader that does not read", async () => {
		const engine = newEngine();
		made.push(() => engine.close());
		const quirks = { ...TRTLLM_QUIRKS, slowReaderMs: 10 };
		const service = trtllmService(engine, {
			info: await engine.start(),
			quirks,
			role: "aggregated",
			version: "",
		});
		const call = { metadata: () => [], signal: new AbortController().signal };
		const request = {
			requestId: "slow",
			model: "m",
			media: [],
			loraName: "",
			tokenIds: { ids: [1] },
			stopping: { conditions: [], maxTokens: 900 },
		};
		const responses = service.generate(request, call)[Symbol.asyncIterator]();
		await responses.next();
		// Nobody reads on; the engine is idle again once the request was aborted.
		await expect.poll(() => engine.load()[0]!.runningSequences).toBe(0);
		expect(await responses.next()).toMatchObject({
			value: { error: { code: m.ErrorCode.OVERLOADED, retryable: true } },
		});
		expect((await responses.next()).done).toBe(true);
	});
});

describe("a handoff between two of them", () => {
	const prefill = async (client: OpenEngineClient): Promise<m.KvSessionRef> =>
		(await generate(client, { extra: { request_type: "context_only" } })).at(-1)!.prefillReady!.kvSession!;

	it("gives the tokens of one", async () => {
		const session = await prefill(await double());
		expect(session).toMatchObject({ sessionId: expect.stringMatching(/^\d+$/), transferBackend: "DEFAULT" });
		expect(session.attributesStruct).toMatchObject({
			disagg_request_id: session.sessionId,
			schedule_style: 0,
		});
		const sampling = { temperature: 0 };
		const greedy = await prefillGreedy(await double());
		const apart = await generate(await double(), { sampling, kv: { session: greedy } });
		expect(tokensOf(apart)).toEqual(tokensOf(await generate(await double(), { sampling })));
	});

	const prefillGreedy = async (client: OpenEngineClient): Promise<m.KvSessionRef> =>
		(await generate(client, { sampling: { temperature: 0 }, extra: { request_type: "context_only" } })).at(
			-1,
		)!.prefillReady!.kvSession!;

	it.each<[string, (session: m.KvSessionRef) => object]>([
		[
			"no address",
			(session) => ({ endpoints: [], attributesStruct: { disagg_request_id: session.sessionId } }),
		],
		["an endpoint without port", () => ({ endpoints: [{ host: "a", port: 0, protocol: "" }] })],
		["a session id that is no integer", () => ({ sessionId: "x" })],
		[
			"broken base64",
			({ attributesStruct }) => ({ attributesStruct: { ...attributesStruct, opaque_state: "a" } }),
		],
		[
			"an id that became a number",
			({ attributesStruct }) => ({ attributesStruct: { ...attributesStruct, disagg_request_id: 7 } }),
		],
	])("refuses one with %s", async (_, change) => {
		const session = await prefill(await double());
		const decode = generate(await double(), { kv: { session: { ...session, ...change(session) } } });
		await expect(decode).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	});
});

describe("behind our OpenEngine client it keeps the Engine contract", () => {
	for (const each of conformanceCases) {
		it(each.name, async () => {
			const { address } = await double();
			const engine = createOpenEngineEngine({
				endpoint: address,
				contextLength: 1024,
				vocabSize: 1000,
				statusIntervalMs: 10,
				dialect: { leastTopN: 1 },
			});
			made.push(() => engine.close());
			await each.run({ engine, info: await engine.start() });
		});
	}
});

it("answers our client through a prefill and a decode", async () => {
	const ask = async (address: string, init: Partial<GenerateRequestInit>): Promise<EngineOutput[]> => {
		const engine = createOpenEngineEngine({ endpoint: address, contextLength: 1024 });
		made.push(() => engine.close());
		await engine.start();
		const outputs: EngineOutput[] = [];
		const request = createGenerateRequest({
			tokenIds: [1, 2, 3],
			sampling: { temperature: 0 },
			stop: { maxTokens: 5 },
			...init,
		});
		for await (const output of engine.generate(request, createRequestContext())) outputs.push(output);
		return outputs;
	};
	const [first, second, whole] = [await double(), await double(), await double()];
	const session = (await ask(first.address, { disaggregation: { role: "prefill" } })).at(-1)!.kvSession!;
	const outputs = await ask(second.address, { disaggregation: { role: "decode", session } });
	const expected = await ask(whole.address, {});
	expect(outputs.flatMap(({ tokenIds }) => tokenIds)).toEqual(expected.flatMap(({ tokenIds }) => tokenIds));
});
