// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type RequestContextOptions } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { conformanceCases } from "@dyn/engine/conformance";
import { createMockerEngine } from "@dyn/mocker";
import { createSmgDouble } from "@dyn/mocker/smg";
import { createGenerateRequest, type GenerateRequestInit } from "@dyn/protocols";
import type { MessageInit, SmgGenerateResponse } from "@dyn/protocols/smg";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSmgEngine, type SmgEngineOptions } from "../src/engines/smg/index.js";
import { collect, failure, tokensOf, until } from "./__fixtures__/asking.js";
import { type SmgTestServer, startSmgServer } from "./__fixtures__/smg-server.js";
import { TOY, toyTokens } from "./__fixtures__/toy-model.js";

let server: SmgTestServer;
let engine: Engine;
const start = async (options: Partial<SmgEngineOptions> = {}) => {
	engine = createSmgEngine({
		endpoint: server.endpoint,
		eosTokenIds: [TOY.eosTokenId],
		connections: 2,
		startupDeadlineMs: 10_000,
		...options,
	});
	return engine.start();
};
beforeEach(async () => {
	server = await startSmgServer();
});
afterEach(async () => {
	await engine.close();
	await server.close();
});

const ask = (init: GenerateRequestInit, options?: RequestContextOptions) => collect(engine, init, options);

describe("the contract over SMG", () => {
	for (const each of conformanceCases)
		it.each([false, true])(`${each.name} (stop tokens in chunks: %s)`, async (shows) => {
			server.showsStopInChunks = shows;
			const info = await start();
			await each.run({ engine, info });
		});
});

describe("the contract over SMG, with the mocker behind it", () => {
	for (const each of conformanceCases)
		it(each.name, async () => {
			const mocker = createMockerEngine({
				speedupRatio: 0,
				vocabSize: 1000,
				maxModelLen: 1024,
				modelName: "m",
			});
			await using double = await createSmgDouble({ engine: mocker });
			const info = await start({ endpoint: double.address });
			await each.run({ engine, info });
			await engine.close();
		});
});

describe("an engine over SMG", () => {
	it("says what it is, from server and options", async () => {
		const info = await start({ model: "m", features: ["image"], loraTaskIds: new Map([["a", 1n]]) });
		expect(info).toMatchObject({
			model: "m",
			contextLength: 1000,
			vocabSize: 128,
			eosTokenIds: [2],
			dpSize: 1,
		});
		expect(info.description).toContain("TensorRT-LLM 1.3.0 over SMG");
		expect(info.capabilities.features).toEqual(expect.arrayContaining(["image", "lora", "logit_bias"]));
		expect(info.capabilities.features).not.toContain("cache_salt");
	});

	it("says how to start the server when that speaks something else", async () => {
		const other = new grpc.Server();
		const port = await new Promise<number>((resolve) =>
			other.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
		);
		const error = await failure(start({ endpoint: `127.0.0.1:${port}` }));
		other.forceShutdown();
		expect(error.code).toBe("UNIMPLEMENTED");
		expect(error.message).toContain("--grpc-protocol smg");
	});

	it("takes equal lengths for unknown ones", async () => {
		server.model = { modelId: "toy", maxInputLen: 4096, maxSeqLen: 4096, vocabSize: 128 };
		expect((await failure(start())).message).toContain("contextLength");
		await engine.close();
		expect((await start({ contextLength: 77 })).contextLength).toBe(77);
	});

	it("knows a model's end from a stop id, and cuts off what must not be seen", async () => {
		await start();
		for (const shows of [false, true]) {
			server.showsStopInChunks = shows;
			const ended = await ask({ tokenIds: [99, 5] });
			expect(tokensOf(ended)).toHaveLength(4);
			expect(ended.at(-1)).toMatchObject({
				finishReason: "eos",
				stopTokenId: 2,
				usage: { promptTokens: 2, completionTokens: 4, cachedTokens: 2 },
			});
			const free = [
				...toyTokens({
					prompt: [7],
					choice: 0,
					maxTokens: 9,
					minTokens: 0,
					stopTokenIds: [],
					ignoreEos: true,
				}),
			].map(({ tokenId }) => tokenId);
			// A hidden id ends it although the server is told to show stop ids for the sake of another one.
			const both = await ask({
				tokenIds: [7],
				stop: { stopTokenIds: [free[3]!], visibleStopTokenIds: [127], maxTokens: 9 },
			});
			expect(tokensOf(both)).toEqual(free.slice(0, 3));
			expect(both.at(-1)).toMatchObject({ finishReason: "stop", stopTokenId: free[3] });
		}
		expect(server.requests.at(-1)).toMatchObject({ includeStopTokenInOutput: true });
	});

	it("brings log-probabilities of the prompt with the first delta", async () => {
		await start();
		const [first, ...others] = await ask({
			tokenIds: [5, 6, 7],
			output: { promptLogprobs: 1, logprobs: 0 },
			stop: { maxTokens: 3, ignoreEos: true },
		});
		expect(first!.promptLogprobs).toEqual([
			null,
			{ tokenId: 6, logprob: -1, top: [{ tokenId: 6, logprob: -1 }] },
			{ tokenId: 7, logprob: -2, top: [{ tokenId: 7, logprob: -2 }] },
		]);
		expect(others.every((output) => output.promptLogprobs === undefined)).toBe(true);
		expect(first!.logprobs!.every(({ top }) => top.length === 0)).toBe(true);
	});

	it("tells the server of the end of interest", async () => {
		await start();
		const stop = new AbortController();
		for await (const output of engine.generate(
			createGenerateRequest({ tokenIds: [4], stop: { maxTokens: 900, ignoreEos: true } }),
			createRequestContext({ id: "gone", signal: stop.signal }),
		))
			if (!output.finishReason) stop.abort();
		expect(await until(() => server.aborted)).toEqual(["gone"]);
	});

	it("refuses by name what cannot be carried, before anything is sent", async () => {
		await start({ features: ["image"], loraTaskIds: new Map([["a", 1n]]) });
		const url = await failure(
			ask({ tokenIds: [4], media: [{ modality: "image", source: { url: "http://x/y.png" } }] }),
		);
		expect(url.code).toBe("UNIMPLEMENTED");
		expect(url.message).toContain("image 1 is a URL");
		expect((await failure(ask({ tokenIds: [4], lora: "b" }))).code).toBe("NOT_FOUND");
		expect(() => createSmgEngine({ endpoint: "x:1", features: ["cache_salt"] })).toThrow("cache_salt");
		expect(server.requests).toEqual([]);
	});

	it("refuses a request beyond the server's limit for messages", async () => {
		await start({ features: ["image"] });
		const bytes = new Uint8Array((32 << 20) + 1);
		bytes.set([0xff, 0xd8, 0xff]);
		expect(
			(await failure(ask({ tokenIds: [4], media: [{ modality: "image", source: { bytes } }] }))).code,
		).toBe("PAYLOAD_TOO_LARGE");
	});

	it("knows a sick server and a vanished one", async () => {
		await start({ statusIntervalMs: 20 });
		expect(engine.health()).toEqual({ status: "healthy" });
		server.health = "executor is dead";
		await until(() => engine.health().status === "restarting");
		expect(engine.health()).toMatchObject({ reason: expect.stringContaining("executor is dead") });
		server.health = "OK";
		await until(() => engine.health().status === "healthy");
		await server.close();
		await until(() => engine.health().status === "restarting");
		expect(["UNAVAILABLE", "DISCONNECTED"]).toContain((await failure(ask({ tokenIds: [4] }))).code);
	});

	it("keeps a deadline", async () => {
		await start();
		server.answer = async function* () {
			await new Promise<void>((resolve) => setTimeout(resolve, 5000).unref());
			yield {};
		};
		expect((await failure(ask({ tokenIds: [4] }, { deadlineMs: performance.now() + 30 }))).code).toBe(
			"DEADLINE_EXCEEDED",
		);
	});
});

describe("answers that make no sense", () => {
	type Answer = readonly (MessageInit<SmgGenerateResponse> | Buffer)[];
	const complete = { outputTokenIds: [3], finishReason: "length" };
	const rows: readonly [name: string, answer: Answer, code: string, message: string][] = [
		["nothing at all", [], "DISCONNECTED", "before all choices had ended"],
		["an early end", [{ chunk: { tokenIds: [3] } }], "DISCONNECTED", "before all choices had ended"],
		["neither chunk nor end", [{}], "INTERNAL", "neither a chunk nor an end"],
		["garbage", [Buffer.from("0a05ff", "hex")], "INTERNAL", "malformed protobuf"],
		[
			"a sequence that was not asked for",
			[{ chunk: { sequenceIndex: 1, tokenIds: [3] } }],
			"INTERNAL",
			"choice 1 of a request for 1",
		],
		[
			"an end that contradicts the chunks",
			[{ chunk: { tokenIds: [4] } }, { complete }],
			"INTERNAL",
			"token 4 at 0 first and 3 in the end",
		],
		[
			"an end that forgets tokens",
			[{ chunk: { tokenIds: [3, 3, 3] } }, { complete }],
			"INTERNAL",
			"had 3 tokens and ends with 1",
		],
		["no finish reason", [{ complete: { outputTokenIds: [3] } }], "INTERNAL", 'the reason ""'],
		[
			"an unknown finish reason",
			[{ complete: { ...complete, finishReason: "bored" } }],
			"INTERNAL",
			'"bored"',
		],
		[
			"a request given up",
			[{ complete: { ...complete, finishReason: "cancelled" } }],
			"DISCONNECTED",
			"without being asked",
		],
		[
			"a timeout of the engine",
			[{ complete: { ...complete, finishReason: "timeout" } }],
			"DEADLINE_EXCEEDED",
			"too long",
		],
	];
	it.each(rows)("%s", async (_name, answer, code, message) => {
		await start();
		server.answer = async function* () {
			yield* answer;
		};
		const error = await failure(ask({ tokenIds: [4] }));
		expect(error.message).toContain(message);
		expect(error.code).toBe(code);
	});

	it("tokens after the end, and missing log-probabilities", async () => {
		await start();
		server.answer = async function* () {
			yield { complete };
			yield { chunk: { tokenIds: [3] } };
			yield { complete: { ...complete, sequenceIndex: 1 } };
		};
		expect((await failure(ask({ tokenIds: [4], sampling: { n: 2 } }))).message).toContain("after its end");
		expect((await failure(ask({ tokenIds: [4], output: { logprobs: 1 } }))).message).toContain(
			"1 tokens with 0 log-probabilities",
		);
	});
});
