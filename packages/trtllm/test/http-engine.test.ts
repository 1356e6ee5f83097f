// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import { createRequestContext, type DynError, type RequestContextOptions } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { conformanceCases } from "@dyn/engine/conformance";
import { createHttpDouble } from "@dyn/mocker/http";
import {
	createGenerateRequest,
	type EngineOutput,
	type GenerateRequestInit,
	type KvSession,
} from "@dyn/protocols";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
	createTrtllmHttpEngine,
	TrtllmHttpClient,
	type TrtllmHttpEngineOptions,
} from "../src/engines/http/index.js";
import { HANDOFF, type HttpTestServer, startHttpServer } from "./__fixtures__/http-server.js";
import { TOY } from "./__fixtures__/toy-model.js";

let server: HttpTestServer;
let engine: Engine | null = null;
const start = async (options: Partial<TrtllmHttpEngineOptions> = {}) => {
	engine = createTrtllmHttpEngine({
		endpoint: server.endpoint,
		contextLength: TOY.contextLength,
		vocabSize: TOY.vocabSize,
		eosTokenIds: [TOY.eosTokenId],
		startupDeadlineMs: 10_000,
		...options,
	});
	return engine.start();
};
beforeEach(async () => {
	server = await startHttpServer();
});
afterEach(async () => {
	await engine?.close();
	engine = null;
	await server.close();
});

async function collect(
	init: GenerateRequestInit,
	options: RequestContextOptions = {},
): Promise<EngineOutput[]> {
	const outputs: EngineOutput[] = [];
	for await (const output of engine!.generate(createGenerateRequest(init), createRequestContext(options)))
		outputs.push(output);
	return outputs;
}
const failure = (work: Promise<unknown>): Promise<DynError> =>
	work.then(
		() => expect.fail("it succeeded"),
		(error) => error,
	);
const tokensOf = (outputs: readonly EngineOutput[]) => outputs.flatMap(({ tokenIds }) => tokenIds);
const sse = (response: ServerResponse, ...events: unknown[]): true => {
	response.writeHead(200, { "content-type": "text/event-stream" });
	response.end(
		events.map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`).join(""),
	);
	return true;
};
/** What `look` gives once it gives something; the test's own time limit ends it. */
async function until<T>(look: () => T): Promise<T> {
	for (;;) {
		const found = look();
		if (found) return found;
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

describe("the contract over HTTP", () => {
	for (const each of conformanceCases)
		it(each.name, async () => {
			const info = await start();
			await each.run({ engine: engine!, info });
		});
});

describe("the contract over HTTP, with the mocker behind it", () => {
	const mocker = { speedupRatio: 0, vocabSize: 1000, maxModelLen: 1024, modelName: "m" };
	const facts = { contextLength: 1024, vocabSize: 1000, eosTokenIds: [] };
	for (const each of conformanceCases)
		it(each.name, async () => {
			await using double = await createHttpDouble({ engine: mocker });
			const info = await start({ endpoint: double.url, ...facts, statusIntervalMs: 50 });
			await each.run({ engine: engine!, info });
			await engine!.close();
		});

	it("decodes what it prefilled, to the same tokens as in one piece", async () => {
		await using double = await createHttpDouble({ engine: mocker });
		await start({ endpoint: double.url, ...facts, features: ["prefill", "decode"] });
		const request = { tokenIds: [5, 6, 7], sampling: { temperature: 0 }, stop: { maxTokens: 6 } };
		const session = (await collect({ ...request, disaggregation: { role: "prefill" } })).at(-1)!.kvSession!;
		expect(session.sessionId).toMatch(/^\d+$/);
		const apart = await collect({ ...request, disaggregation: { role: "decode", session } });
		expect(tokensOf(apart)).toHaveLength(6);
		expect(tokensOf(apart)).toEqual(tokensOf(await collect(request)));
		await engine!.close();
	});
});

describe("an engine over HTTP", () => {
	it("says what it is, and what it was told that it is", async () => {
		const info = await start({
			features: ["guided_regex", "prefill"],
			loras: new Map([["a", { id: 1, path: "p" }]]),
		});
		expect(info).toMatchObject({
			model: "toy",
			contextLength: 1000,
			capabilities: { logprobs: false, kvEvents: false },
		});
		expect(info.description).toContain("TensorRT-LLM 1.3.0 over HTTP");
		expect(info.capabilities.features).toEqual(
			expect.arrayContaining(["guided_regex", "prefill", "lora", "best_of"]),
		);
		expect(() => createTrtllmHttpEngine({ endpoint: "http://x", features: ["image"] })).toThrow("image");
		expect(() => createTrtllmHttpEngine({ endpoint: "x:1" })).toThrow("http://host:port");
	});

	it("waits for a server that is still loading", async () => {
		server.status = 503;
		const started = start();
		await until(() => server.log.length >= 2);
		server.status = 200;
		expect((await started).model).toBe("toy");
	});

	it("counts what the server found in its cache, and knows a model's end", async () => {
		await start();
		const outputs = await collect({ tokenIds: [99, 5], output: { logprobs: 0 } });
		expect(tokensOf(outputs)).toHaveLength(4);
		expect(outputs.at(-1)).toMatchObject({
			finishReason: "eos",
			stopTokenId: 2,
			usage: { promptTokens: 2, completionTokens: 4, cachedTokens: 1 },
		});
		expect(outputs[0]!.logprobs).toEqual([{ tokenId: outputs[0]!.tokenIds[0], logprob: -0.25, top: [] }]);
	});

	it("takes beams in one piece", async () => {
		await start({ features: ["beam_search"] });
		const outputs = await collect({
			tokenIds: [5],
			sampling: { beamWidth: 2, n: 2 },
			stop: { maxTokens: 4, ignoreEos: true },
		});
		expect(outputs.filter(({ finishReason }) => finishReason).map(({ index }) => index)).toEqual([0, 1]);
		expect(tokensOf(outputs)).toHaveLength(8);
		expect(server.bodies[0]).toMatchObject({ use_beam_search: true, best_of: 2, n: 2, stream: false });
	});

	it("hands a prefill over without losing a digit", async () => {
		await start({ features: ["prefill", "decode"] });
		const outputs = await collect({
			tokenIds: [5, 6],
			disaggregation: { role: "prefill" },
			stop: { maxTokens: 9 },
		});
		expect(server.bodies[0]).toMatchObject({
			max_tokens: 1,
			stream: false,
			disaggregated_params: { request_type: "context_only" },
		});
		const last = outputs.at(-1)!;
		expect(last.finishReason).toBe("length");
		expect(tokensOf(outputs)).toHaveLength(1);
		const session = last.kvSession!;
		expect(session).toMatchObject({
			sessionId: "18446744073709551557",
			dpRank: 1,
			endpoints: [{ protocol: "tcp", host: "10.0.0.7", port: 4711 }],
			attributes: {
				disagg_request_id: "9007199254740993",
				opaque_state: "AAEC/w==",
				first_gen_tokens: tokensOf(outputs),
			},
		});
		// As another process gets it.
		const carried = JSON.parse(JSON.stringify(session)) as KvSession;
		await collect({
			tokenIds: [5, 6],
			disaggregation: { role: "decode", session: carried },
			stop: { maxTokens: 3 },
		});
		expect(server.bodies[1].disaggregated_params).toEqual({
			request_type: "generation_only",
			first_gen_tokens: tokensOf(outputs),
			...HANDOFF,
		});
		const bad = { ...carried, attributes: { ...carried.attributes, opaque_state: "?" } };
		expect(
			(await failure(collect({ tokenIds: [5, 6], disaggregation: { role: "decode", session: bad } })))
				.message,
		).toContain("opaque_state is no base64");
		expect(server.bodies).toHaveLength(2);
	});

	it("leaves a connection that nobody reads, at once", async () => {
		await start();
		const stop = new AbortController();
		const outputs: EngineOutput[] = [];
		for await (const output of engine!.generate(
			createGenerateRequest({ tokenIds: [4], stop: { maxTokens: 900, ignoreEos: true } }),
			createRequestContext({ signal: stop.signal }),
		)) {
			outputs.push(output);
			stop.abort();
		}
		expect(outputs.at(-1)).toMatchObject({ finishReason: "cancelled", usage: { completionTokens: 1 } });
		await until(() => server.abandoned === 1);
	});

	it("keeps connections from one answer to the next", async () => {
		await start({ statusIntervalMs: 1e6 });
		for (let i = 0; i < 5; i++) await collect({ tokenIds: [4], stop: { maxTokens: 3 } });
		expect(server.connections).toBeLessThan(5); // a question may be sent before the last answer's end has come
	});

	it("keeps a deadline", async () => {
		await start();
		server.answer = ({ url }) => url === "/v1/completions"; // and never answers
		expect((await failure(collect({ tokenIds: [4] }, { deadlineMs: performance.now() + 30 }))).code).toBe(
			"DEADLINE_EXCEEDED",
		);
	});

	it("reads the load from the iterations, and forgets it when there are none", async () => {
		server.metrics = [
			{ iter: 1, numActiveRequests: 9, numQueuedRequests: 9 },
			{
				iter: 2,
				numActiveRequests: 3,
				numQueuedRequests: 2,
				kvCacheStats: {
					maxNumBlocks: 100,
					freeNumBlocks: 60,
					usedNumBlocks: 40,
					tokensPerBlock: 32,
					cacheHitRate: 0.5,
				},
			},
		];
		await start({ statusIntervalMs: 20 });
		expect(engine!.load()).toMatchObject([
			{
				dpRank: 0,
				runningSequences: 3,
				waitingSequences: 2,
				activeKvBlocks: 40,
				totalKvBlocks: 100,
				kvCacheHitRate: 0.5,
			},
		]);
		await until(() => engine!.load()[0]!.runningSequences === 0);
		server.metrics = [{ iter: "x" }];
		await until(() => server.metrics.length === 0);
		expect(engine!.health()).toEqual({ status: "healthy" });
		server.status = 503;
		await until(() => engine!.health().status === "restarting");
	});

	it("asks again what has no effect when a kept connection was given up, and nothing else", async () => {
		const client = TrtllmHttpClient.create(server.endpoint);
		await client.health();
		let resets = 0;
		server.answer = (request) => {
			if (resets++ > 0) return false;
			request.socket.destroy();
			return true;
		};
		expect(await client.models()).toEqual(["toy"]);
		expect(server.log.filter((line) => line === "GET /v1/models")).toHaveLength(2);
		resets = 0;
		expect((await failure(client.createVideo({ prompt: "x" }))).code).toBe("DISCONNECTED");
		expect(server.log.filter((line) => line === "POST /v1/videos")).toHaveLength(1);
		client.close();
	});
});

describe("answers that make no sense", () => {
	const choice = { index: 0, text: "", token_ids: [3], finish_reason: null };
	const rows: readonly [name: string, events: readonly unknown[], code: string, message: string][] = [
		["nothing at all", [], "DISCONNECTED", "without its [DONE]"],
		["an early end", [{ choices: [choice] }], "DISCONNECTED", "without its [DONE]"],
		[
			"an end without its mark",
			[{ choices: [{ ...choice, finish_reason: "length" }] }],
			"DISCONNECTED",
			"without its [DONE]",
		],
		["garbage", ["{nonsense"], "INTERNAL", "no JSON object"],
		["a list", ["[1]"], "INTERNAL", "no JSON object"],
		["no choices", [{ id: "c" }], "INTERNAL", "without choices"],
		["no index", [{ choices: [{ ...choice, index: undefined }] }], "INTERNAL", "index is undefined"],
		[
			"no token ids",
			[{ choices: [{ index: 0, text: "hello", finish_reason: null }] }],
			"INTERNAL",
			"without token_ids",
		],
		[
			"token ids that are none",
			[{ choices: [{ ...choice, token_ids: ["3"] }] }],
			"INTERNAL",
			"without token_ids",
		],
		["another choice", [{ choices: [{ ...choice, index: 4 }] }], "INTERNAL", "choice 4 of a request for 1"],
		[
			"an unknown reason",
			[{ choices: [{ ...choice, finish_reason: "bored" }] }, "[DONE]"],
			"INTERNAL",
			'"bored"',
		],
		[
			"a reason that is no text",
			[{ choices: [{ ...choice, finish_reason: 3 }] }, "[DONE]"],
			"INTERNAL",
			"no text",
		],
		[
			"an error in the middle",
			[{ choices: [choice] }, { error: { message: "out of blocks", code: 503 } }],
			"UNAVAILABLE",
			"out of blocks",
		],
		[
			"an error of TensorRT-LLM's form",
			[{ object: "error", message: "bad", code: 400 }],
			"INVALID_ARGUMENT",
			"bad",
		],
	];
	it.each(rows)("%s", async (_name, events, code, message) => {
		await start();
		server.answer = ({ url }, response) => url === "/v1/completions" && sse(response, ...events);
		const error = await failure(collect({ tokenIds: [4] }));
		expect(error.message).toContain(message);
		expect(error.code).toBe(code);
	});

	it("a connection that breaks in the middle", async () => {
		await start();
		server.answer = ({ url }, response) => {
			if (url !== "/v1/completions") return false;
			response.writeHead(200, { "content-type": "text/event-stream" });
			response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\ndata: {"cho`, () =>
				response.destroy(),
			);
			return true;
		};
		expect((await failure(collect({ tokenIds: [4] }))).code).toBe("DISCONNECTED");
	});

	it("an event without an end", async () => {
		await start();
		server.answer = ({ url }, response) => {
			if (url !== "/v1/completions") return false;
			const part = Buffer.alloc(1 << 20, "x");
			const more = () => response.destroyed || response.write(part, more);
			response.write("data: ", more);
			return true;
		};
		expect((await failure(collect({ tokenIds: [4] }))).code).toBe("PAYLOAD_TOO_LARGE");
	});

	const statuses: readonly [status: number, body: string, code: string, message: string][] = [
		[400, '{"object":"error","message":"prompt too long","code":400}', "INVALID_ARGUMENT", "prompt too long"],
		[422, '{"detail":[{"loc":["body","x"],"msg":"no"}]}', "INVALID_ARGUMENT", '"msg":"no"'],
		[429, "queue full", "OVERLOADED", "queue full"],
		[500, "", "INTERNAL", "status 500"],
		[503, '{"error":{"message":"not ready"}}', "UNAVAILABLE", "not ready"],
	];
	it.each(statuses)("status %i", async (status, body, code, message) => {
		await start();
		server.answer = ({ url }, response) =>
			url === "/v1/completions" && !!response.writeHead(status).end(body);
		const error = await failure(collect({ tokenIds: [4] }));
		expect(error.code).toBe(code);
		expect(error.message).toContain(message);
		expect(error.details["status"]).toBe(status);
	});

	it("a prefill without a session", async () => {
		await start({ features: ["prefill"] });
		const prefill = () => failure(collect({ tokenIds: [4], disaggregation: { role: "prefill" } }));
		let params: unknown = null;
		server.answer = ({ url }, response) =>
			url === "/v1/completions" &&
			!!response.end(
				JSON.stringify({ choices: [{ ...choice, finish_reason: "length", disaggregated_params: params }] }),
			);
		expect((await prefill()).message).toContain("cache_transceiver_config");
		params = { first_gen_tokens: [3], encoded_opaque_state: "AA==" };
		expect((await prefill()).message).toContain("neither an id (ctx_request_id) nor disagg_request_id");
		params = { ctx_request_id: 5, first_gen_tokens: [3] };
		expect((await prefill()).message).toContain("neither opaque_state nor ctx_info_endpoint");
	});
});

describe("plain calls", () => {
	it("embeds, in the order of the inputs", async () => {
		const vector = Buffer.alloc(8);
		vector.writeFloatLE(0.5, 0);
		vector.writeFloatLE(-2, 4);
		server.answer = (_, response) =>
			!!response.end(
				JSON.stringify({
					data: [
						{ index: 1, embedding: [1, 2] },
						{ index: 0, embedding: vector.toString("base64") },
					],
					usage: { prompt_tokens: 5 },
				}),
			);
		const client = TrtllmHttpClient.create(server.endpoint);
		const { embeddings, promptTokens } = await client.embeddings({ model: "e", input: ["a", "b"] });
		expect(embeddings.map((each) => [...each])).toEqual([
			[0.5, -2],
			[1, 2],
		]);
		expect(promptTokens).toBe(5);
		expect(server.bodies[0]).toEqual({ model: "e", input: ["a", "b"], encoding_format: "base64" });
		client.close();
	});

	it("makes pictures and films", async () => {
		const client = TrtllmHttpClient.create(server.endpoint);
		server.answer = ({ method, url }, response) => {
			if (url === "/v1/images/generations")
				return !!response.end('{"data":[{"b64_json":"AQI="},{"url":"/x"}]}');
			if (method === "POST") return !!response.end('{"id":"a/b","status":"queued"}');
			if (method === "DELETE") return !!response.end('{"deleted":true}');
			if (url?.endsWith("/content")) return !!response.end(Buffer.from([1, 2, 3]));
			return !!response.end('{"id":"a/b","status":"failed","error":{"message":"no memory"}}');
		};
		expect(await client.generateImages({ prompt: "p", n: 2 })).toEqual({
			images: [{ bytes: Buffer.from([1, 2]) }, { url: "/x" }],
		});
		expect(await client.createVideo({ prompt: "p", seconds: 2 })).toEqual({
			id: "a/b",
			status: "queued",
			error: null,
		});
		expect(await client.video("a/b")).toEqual({ id: "a/b", status: "failed", error: "no memory" });
		expect([...(await client.videoContent("a/b"))]).toEqual([1, 2, 3]);
		await client.deleteVideo("a/b");
		expect(server.log).toEqual([
			"POST /v1/images/generations",
			"POST /v1/videos",
			"GET /v1/videos/a%2Fb",
			"GET /v1/videos/a%2Fb/content",
			"DELETE /v1/videos/a%2Fb",
		]);
		server.answer = (_, response) => !!response.end("{}");
		for (const call of [
			client.generateImages({ prompt: "p" }),
			client.video("x"),
			client.embeddings({ model: "m", input: "x" }),
		])
			expect((await failure(call)).code).toBe("INTERNAL");
		server.answer = null;
		expect((await failure(client.video("x"))).code).toBe("NOT_FOUND");
		client.close();
	});
});
