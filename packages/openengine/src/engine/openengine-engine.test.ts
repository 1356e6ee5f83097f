// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest, type KvSession } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { all, outputsOf, served } from "../__fixtures__/served-toy.js";
import { FAILS_FIRST, FAILS_LATE, SESSION } from "../__fixtures__/toy-engine.js";
import { createOpenEngineClient } from "../client/openengine-client.js";
import * as m from "../generated/messages.js";

describe("failures have one transport", () => {
	it("an event after acceptance, and then OK", async () => {
		const { client } = await served();
		const responses = await all(client, { tokenIds: { ids: [FAILS_LATE, 5] } });
		expect(responses.slice(0, 2).every(({ token }) => token !== undefined)).toBe(true);
		expect(responses.at(-1)).toMatchObject({
			error: { code: m.ErrorCode.INTERNAL, message: "the toy broke", retryable: false },
		});
		expect(responses).toHaveLength(3);
	});

	it("an event too when the engine breaks at once: it is no refusal", async () => {
		const { client } = await served();
		expect(await all(client, { tokenIds: { ids: [FAILS_FIRST] } })).toMatchObject([
			{ error: { code: m.ErrorCode.INTERNAL } },
		]);
	});

	it("an error of the engine that calls it", async () => {
		const { engine } = await served();
		const failing = (await engine()).generate(
			createGenerateRequest({ tokenIds: [FAILS_LATE, 5] }),
			createRequestContext(),
		);
		await expect(outputsOf(failing)).rejects.toMatchObject({
			code: "INTERNAL",
			message: expect.stringContaining("the toy broke"),
		});
	});
});

describe("requests", () => {
	it("cross the wire whole", async () => {
		const { toy, engine } = await served();
		const sent = createGenerateRequest({
			model: "toy",
			tokenIds: [5, 6, 7],
			sampling: {
				n: 2,
				temperature: 0.5,
				topP: 0.9,
				topK: 7,
				minP: 0.1,
				presencePenalty: 1,
				frequencyPenalty: -1,
				repetitionPenalty: 1.5,
				seed: 9,
			},
			stop: { maxTokens: 3, minTokens: 1, stopTokenIds: [4, 8], ignoreEos: true },
			output: { logprobs: 2, promptLogprobs: 1 },
			routing: { priority: -4, cacheSalt: "s", bypassPrefixCache: true, conversationId: "c" },
			guided: { kind: "regex", pattern: "a+" },
		});
		const outputs = await outputsOf((await engine()).generate(sent, createRequestContext()));
		expect({ ...toy.requests[0]!, tokenIds: Array.from(toy.requests[0]!.tokenIds) }).toEqual(sent);
		expect(outputs[0]!.promptLogprobs).toEqual([
			null,
			{ tokenId: 6, logprob: -0.5, top: [{ tokenId: 6, logprob: -0.5 }] },
			expect.anything(),
		]);
		expect(outputs[0]!.logprobs![0]!.top).toHaveLength(2);
		const ends = outputs.filter(({ finishReason }) => finishReason);
		expect(ends.map(({ index, usage }) => [index, usage!.completionTokens])).toEqual([
			[0, 3],
			[1, 3],
		]);
		// What was cached comes with the usage, and that with the last end.
		expect(ends[1]!.usage!.cachedTokens).toBe(3);
	});

	it("say how many tokens they want when nobody did, and carry the dialect's words", async () => {
		const { toy, engine } = await served();
		const dialect = {
			leastTopN: 1,
			extra: () => ({ detokenize: false, conversation_id: "from the dialect" }),
		};
		const remote = await engine({ dialect, contextLength: 10 });
		const sent = createGenerateRequest({ tokenIds: [5, 6, 7], output: { logprobs: 0 } });
		const outputs = await outputsOf(remote.generate(sent, createRequestContext()));
		expect(toy.requests[0]).toMatchObject({
			stop: { maxTokens: 7 },
			output: { logprobs: 1 },
			routing: { conversationId: "from the dialect" },
		});
		expect(outputs[0]!.logprobs![0]).toEqual({ tokenId: outputs[0]!.tokenIds[0], logprob: -0.5, top: [] });
	});

	it("are refused for what the dialect removes", async () => {
		const { engine } = await served();
		const remote = await engine({ dialect: { removeFeatures: ["cache_salt"] } });
		const sent = createGenerateRequest({ tokenIds: [5], routing: { cacheSalt: "s" } });
		await expect(outputsOf(remote.generate(sent, createRequestContext()))).rejects.toMatchObject({
			code: "UNIMPLEMENTED",
		});
	});
});

describe("prefill and decode", () => {
	it("hand a session over without loss", async () => {
		const prefill = await (await served({ role: "prefill" })).engine();
		const decode = await served({ role: "decode" });
		const outputs = await outputsOf(
			prefill.generate(
				createGenerateRequest({ tokenIds: [5], disaggregation: { role: "prefill" } }),
				createRequestContext(),
			),
		);
		const session = outputs.at(-1)!.kvSession!;
		expect(session).toEqual(SESSION);
		expect(outputs.at(-1)).toMatchObject({ finishReason: "length", usage: { promptTokens: 1 } });
		const relayed = JSON.parse(JSON.stringify(session)) as KvSession;
		const sent = createGenerateRequest({
			tokenIds: [5],
			disaggregation: { role: "decode", session: relayed },
			stop: { maxTokens: 2 },
		});
		await outputsOf((await decode.engine()).generate(sent, createRequestContext()));
		expect(decode.toy.requests[0]!.disaggregation).toEqual({ role: "decode", session: SESSION });
	});

	it("end with the session, whatever finishes before it", async () => {
		const { engine } = await served({}, () => ({
			async *generate({ requestId }) {
				yield { requestId, finished: { outputIndex: 0, reason: m.FinishReason.LENGTH } };
				yield { requestId, prefillReady: { kvSession: { sessionId: "late" } }, usage: { promptTokens: 1 } };
			},
		}));
		const outputs = await outputsOf(
			(await engine()).generate(
				createGenerateRequest({ tokenIds: [5], disaggregation: { role: "prefill" } }),
				createRequestContext(),
			),
		);
		expect(outputs).toMatchObject([
			{ finishReason: "length", kvSession: { sessionId: "late", attributes: {} } },
		]);
	});
});

describe("a server that breaks the contract", () => {
	it("is told apart: no end, tokens after the end, no reason", async () => {
		const token = { outputIndex: 0, tokens: [{ tokenId: 5 }] };
		const finished = { outputIndex: 0, reason: m.FinishReason.STOP };
		for (const [events, code] of [
			[[{ token }], "DISCONNECTED"],
			[[{ finished }, { token }], "INTERNAL"],
			[[{ finished: { outputIndex: 0 } }], "INTERNAL"],
			[[{ token: { ...token, outputIndex: 3 } }], "INTERNAL"],
		] as const) {
			const { engine } = await served({}, () => ({
				async *generate() {
					yield* events;
				},
			}));
			const generating = (await engine()).generate(
				createGenerateRequest({ tokenIds: [5] }),
				createRequestContext(),
			);
			await expect(outputsOf(generating)).rejects.toMatchObject({ code });
		}
	});

	it("is told apart: gone in the middle of an answer", async () => {
		const { server, engine } = await served();
		const sent = createGenerateRequest({ tokenIds: [5], stop: { maxTokens: 900 } });
		const generating = (await engine()).generate(sent, createRequestContext())[Symbol.asyncIterator]();
		await generating.next();
		await server.close();
		const rest = (async () => {
			while (!(await generating.next()).done);
		})();
		await expect(rest).rejects.toMatchObject({ retryable: true });
	});

	it("is not used when its schema is another", async () => {
		for (const wrong of [{ schemaRevision: 0 }, { schemaRevision: 2 }, { minimumClientRevision: 2 }]) {
			const { client } = await served({}, (own) => ({
				getServerInfo: async (...args) => ({ ...(await own.getServerInfo(...args)), ...wrong }),
			}));
			await expect(client.connect()).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
		}
		const { server } = await served();
		const picky = await createOpenEngineClient({ endpoint: server.address, schemaRelease: "another" });
		await expect(picky.connect()).rejects.toThrow("schema release");
		picky.close();
	});

	it("needs to say how long its context is", async () => {
		const { engine } = await served({}, (own) => ({
			getModelInfo: async (...args) => ({
				...(await own.getModelInfo(...args)),
				maxContextLength: undefined,
			}),
		}));
		await expect(engine()).rejects.toThrow("--max_seq_len");
	});
});
