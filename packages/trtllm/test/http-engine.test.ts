// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { conformanceCases } from "@dyn/engine/conformance";
import { createHttpDouble } from "@dyn/mocker/http";
import { createGenerateRequest, type EngineOutput, type KvSession } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { createTrtllmHttpEngine } from "../src/engines/http/index.js";
import { failure, tokensOf, until } from "./__fixtures__/asking.js";
import { HttpRig } from "./__fixtures__/http-rig.js";
import { HANDOFF } from "./__fixtures__/http-server.js";

const rig = new HttpRig();

describe("the contract over HTTP", () => {
	for (const each of conformanceCases)
		it(each.name, async () => {
			const info = await rig.start();
			await each.run({ engine: rig.engine, info });
		});
});

describe("the contract over HTTP, with the mocker behind it", () => {
	const mocker = { speedupRatio: 0, vocabSize: 1000, maxModelLen: 1024, modelName: "m" };
	const facts = { contextLength: 1024, vocabSize: 1000, eosTokenIds: [] };
	for (const each of conformanceCases)
		it(each.name, async () => {
			await using double = await createHttpDouble({ engine: mocker });
			const info = await rig.start({ endpoint: double.url, ...facts, statusIntervalMs: 50 });
			await each.run({ engine: rig.engine, info });
			await rig.engine.close();
		});

	it("decodes what it prefilled, to the same tokens as in one piece", async () => {
		await using double = await createHttpDouble({ engine: mocker });
		await rig.start({ endpoint: double.url, ...facts, features: ["prefill", "decode"] });
		const request = { tokenIds: [5, 6, 7], sampling: { temperature: 0 }, stop: { maxTokens: 6 } };
		const session = (await rig.collect({ ...request, disaggregation: { role: "prefill" } })).at(-1)!
			.kvSession!;
		expect(session.sessionId).toMatch(/^\d+$/);
		const apart = await rig.collect({ ...request, disaggregation: { role: "decode", session } });
		expect(tokensOf(apart)).toHaveLength(6);
		expect(tokensOf(apart)).toEqual(tokensOf(await rig.collect(request)));
		await rig.engine.close();
	});
});

describe("an engine over HTTP", () => {
	it("says what it is, and what it was told that it is", async () => {
		const info = await rig.start({
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
		rig.server.status = 503;
		const started = rig.start();
		await until(() => rig.server.log.length >= 2);
		rig.server.status = 200;
		expect((await started).model).toBe("toy");
	});

	it("counts what the server found in its cache, and knows a model's end", async () => {
		await rig.start();
		const outputs = await rig.collect({ tokenIds: [99, 5], output: { logprobs: 0 } });
		expect(tokensOf(outputs)).toHaveLength(4);
		expect(outputs.at(-1)).toMatchObject({
			finishReason: "eos",
			stopTokenId: 2,
			usage: { promptTokens: 2, completionTokens: 4, cachedTokens: 1 },
		});
		expect(outputs[0]!.logprobs).toEqual([{ tokenId: outputs[0]!.tokenIds[0], logprob: -0.25, top: [] }]);
	});

	it("takes beams in one piece", async () => {
		await rig.start({ features: ["beam_search"] });
		const outputs = await rig.collect({
			tokenIds: [5],
			sampling: { beamWidth: 2, n: 2 },
			stop: { maxTokens: 4, ignoreEos: true },
		});
		expect(outputs.filter(({ finishReason }) => finishReason).map(({ index }) => index)).toEqual([0, 1]);
		expect(tokensOf(outputs)).toHaveLength(8);
		expect(rig.server.bodies[0]).toMatchObject({ use_beam_search: true, best_of: 2, n: 2, stream: false });
	});

	it("hands a prefill over without losing a digit", async () => {
		await rig.start({ features: ["prefill", "decode"] });
		const outputs = await rig.collect({
			tokenIds: [5, 6],
			disaggregation: { role: "prefill" },
			stop: { maxTokens: 9 },
		});
		expect(rig.server.bodies[0]).toMatchObject({
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
		await rig.collect({
			tokenIds: [5, 6],
			disaggregation: { role: "decode", session: carried },
			stop: { maxTokens: 3 },
		});
		expect(rig.server.bodies[1].disaggregated_params).toEqual({
			request_type: "generation_only",
			first_gen_tokens: tokensOf(outputs),
			...HANDOFF,
		});
		const bad = { ...carried, attributes: { ...carried.attributes, opaque_state: "?" } };
		expect(
			(await failure(rig.collect({ tokenIds: [5, 6], disaggregation: { role: "decode", session: bad } })))
				.message,
		).toContain("opaque_state is no base64");
		expect(rig.server.bodies).toHaveLength(2);
	});

	it("leaves a connection that nobody reads, at once", async () => {
		await rig.start();
		const stop = new AbortController();
		const outputs: EngineOutput[] = [];
		for await (const output of rig.engine.generate(
			createGenerateRequest({ tokenIds: [4], stop: { maxTokens: 900, ignoreEos: true } }),
			createRequestContext({ signal: stop.signal }),
		)) {
			outputs.push(output);
			stop.abort();
		}
		expect(outputs.at(-1)).toMatchObject({ finishReason: "cancelled", usage: { completionTokens: 1 } });
		await until(() => rig.server.abandoned === 1);
	});

	it("keeps connections from one answer to the next", async () => {
		await rig.start({ statusIntervalMs: 1e6 });
		for (let i = 0; i < 5; i++) await rig.collect({ tokenIds: [4], stop: { maxTokens: 3 } });
		expect(rig.server.connections).toBeLessThan(5); // a question may be sent before the last answer's end has come
	});

	it("keeps a deadline", async () => {
		await rig.start();
		rig.server.answer = ({ url }) => url === "/v1/completions"; // and never answers
		expect((await failure(rig.collect({ tokenIds: [4] }, { deadlineMs: performance.now() + 30 }))).code).toBe(
			"DEADLINE_EXCEEDED",
		);
	});

	it("reads the load from the iterations, and forgets it when there are none", async () => {
		rig.server.metrics = [
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
		await rig.start({ statusIntervalMs: 20 });
		expect(rig.engine.load()).toMatchObject([
			{
				dpRank: 0,
				runningSequences: 3,
				waitingSequences: 2,
				activeKvBlocks: 40,
				totalKvBlocks: 100,
				kvCacheHitRate: 0.5,
			},
		]);
		await until(() => rig.engine.load()[0]!.runningSequences === 0);
		rig.server.metrics = [{ iter: "x" }];
		await until(() => rig.server.metrics.length === 0);
		expect(rig.engine.health()).toEqual({ status: "healthy" });
		rig.server.status = 503;
		await until(() => rig.engine.health().status === "restarting");
	});
});
