// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { GenerateRequestInit } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { codeOf, collect, greedy, idle, text, tokens, tokensOf } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";
import type { IterationStats } from "./options.js";

describe("steps", () => {
	it("answers the same in steps of any size, alone or in company", async () => {
		const requests = Array.from({ length: 16 }, (_, i) => greedy({ tokenIds: text(i, 10 + 13 * i) }));
		const alone: number[][] = [];
		for (const request of requests) alone.push(await tokens((await paperEngine()).engine, request));
		for (const maxNumBatchedTokens of [1, 7, 32]) {
			const { engine } = await paperEngine({
				maxNumBatchedTokens,
				maxNumSeqs: Math.min(16, maxNumBatchedTokens),
			});
			expect(await Promise.all(requests.map((request) => tokens(engine, request)))).toEqual(alone);
			expect(engine.load()[0]).toMatchObject(idle);
		}
	});

	it("answers the same after preemption", async () => {
		const requests = Array.from({ length: 8 }, (_, i) =>
			greedy({ tokenIds: text(i, 40 + i), stop: { maxTokens: 100 } }),
		);
		const alone: number[][] = [];
		for (const request of requests) alone.push(await tokens((await paperEngine()).engine, request));
		let preemptions = 0;
		const { engine } = await paperEngine({
			numKvBlocks: 12,
			onIteration: (stats) => {
				preemptions = stats.preemptions;
			},
		});
		expect(await Promise.all(requests.map((request) => tokens(engine, request)))).toEqual(alone);
		expect(preemptions).toBeGreaterThan(3);
		expect(engine.load()[0]).toMatchObject(idle);
	});

	it.each<[string, Pick<GenerateRequestInit, "sampling" | "stop">]>([
		["drawn from a seed", { sampling: { temperature: 1, seed: 5 } }],
		["to its end, which may not come early", { stop: { minTokens: 20 } }],
	])("goes on with an answer that another engine began, %s", async (_, how) => {
		const tokenIds = text(1, 40);
		const endless = await tokens((await paperEngine()).engine, greedy({ tokenIds, stop: { maxTokens: 30 } }));
		const stopTokenIds = [endless[22]!];
		const request = greedy({ tokenIds, ...how, stop: { maxTokens: 30, stopTokenIds, ...how.stop } });
		const whole = await tokens((await paperEngine()).engine, request);
		expect(whole.length).toBe(how.stop ? 22 : 30);
		for (const seam of [1, 7, 19]) {
			const rest = greedy({
				...how,
				tokenIds: [...tokenIds, ...whole.slice(0, seam)],
				resumedTokens: seam,
				stop: {
					...request.stop,
					maxTokens: 30 - seam,
					minTokens: Math.max(0, (request.stop.minTokens ?? 0) - seam),
				},
			});
			expect(await tokens((await paperEngine()).engine, rest)).toEqual(whole.slice(seam));
		}
	});

	it("reuses a prefix, says so, and answers the same; another salt shares nothing", async () => {
		const request = greedy({ tokenIds: text(1, 100) });
		const { engine } = await paperEngine();
		const cold = await collect(engine, request);
		const warm = await collect(engine, request);
		expect(tokensOf(warm)).toEqual(tokensOf(cold));
		expect([cold.at(-1)!.usage!.cachedTokens, warm.at(-1)!.usage!.cachedTokens]).toEqual([0, 96]);
		const salted = greedy({ tokenIds: text(1, 100), routing: { cacheSalt: "tenant" } });
		expect((await collect(engine, salted)).at(-1)!.usage!.cachedTokens).toBe(0);
		expect((await collect(engine, salted)).at(-1)!.usage!.cachedTokens).toBe(96);
	});

	it("computes a prompt once for all choices, each with a seed of its own", async () => {
		const { engine, backend } = await paperEngine();
		const outputs = await collect(
			engine,
			greedy({ tokenIds: text(1, 70), sampling: { n: 4, temperature: 1, seed: 9 } }),
		);
		const rows = backend.steps.flat().reduce((sum, share) => sum + share.tokens.length, 0);
		expect(rows).toBe(70 + 3 * 6 + 4 * 15); // three followers compute what is in no full block
		const choices = [0, 1, 2, 3].map((index) => tokensOf(outputs, index));
		expect(new Set(choices.map(String)).size).toBe(4);
		const second = greedy({ tokenIds: text(1, 70), sampling: { temperature: 1, seed: 10 } });
		expect(await tokens(engine, second)).toEqual(choices[1]);
	});

	it("starts what arrives together in one step", async () => {
		const { engine, backend } = await paperEngine();
		await Promise.all([1, 2, 3].map((seed) => tokens(engine, greedy({ tokenIds: text(seed, 10) }))));
		expect(backend.steps[0]).toHaveLength(3);
	});

	it("serves the higher priority first", async () => {
		const { engine, backend } = await paperEngine({ maxNumSeqs: 1 });
		const release = backend.hold();
		const order: string[] = [];
		const ask = async (name: string, seed: number, priority: number) => {
			await tokens(
				engine,
				greedy({ tokenIds: text(seed, 10), stop: { maxTokens: 3 }, routing: { priority } }),
			);
			order.push(name);
		};
		const started = backend.held();
		const first = ask("first", 1, 0);
		await started;
		const others = [ask("low", 2, 0), ask("high", 3, 5), ask("lower", 4, -1)];
		release();
		await Promise.all([first, ...others]);
		expect(order).toEqual(["first", "high", "low", "lower"]);
	});

	it("reports every step, and survives a report that throws", async () => {
		const stats: IterationStats[] = [];
		const { engine } = await paperEngine({
			maxNumBatchedTokens: 64,
			onIteration: (each) => {
				stats.push(each);
				throw new Error("not my fault");
			},
		});
		await tokens(engine, greedy({ tokenIds: text(1, 100), stop: { maxTokens: 2 } }));
		expect(
			stats.map(({ iteration, rows, promptRows, generatedTokens }) => [
				iteration,
				rows,
				promptRows,
				generatedTokens,
			]),
		).toEqual([
			[1, 64, 64, 0],
			[2, 36, 36, 1],
			[3, 1, 0, 1],
		]);
		expect(stats[1]).toMatchObject({
			promptTokens: 100,
			cachedTokens: 0,
			preemptions: 0,
			draftTokens: 0,
			acceptedDraftTokens: 0,
			runningSequences: 1,
		});
		expect(engine.health()).toEqual({ status: "healthy" });
	});
});

describe("slow consumers", () => {
	it("find the deltas of a choice merged, and nothing is lost", async () => {
		const { engine } = await paperEngine();
		const request = greedy({
			tokenIds: text(1, 10),
			stop: { maxTokens: 50 },
			sampling: { n: 2 },
			output: { logprobs: 1 },
		});
		const iterator = engine.generate(request, createRequestContext())[Symbol.asyncIterator]();
		const first = await iterator.next();
		await engine.drain(); // everything has been generated
		const outputs = [first.value!];
		for (let next = await iterator.next(); !next.done; next = await iterator.next()) outputs.push(next.value);
		expect(outputs.length).toBeLessThanOrEqual(4);
		for (const index of [0, 1]) {
			const own = outputs.filter((output) => output.index === index);
			expect(tokensOf(own, index)).toHaveLength(50);
			expect(own.flatMap(({ logprobs }) => logprobs!).map(({ tokenId }) => tokenId)).toEqual(
				tokensOf(own, index),
			);
			expect(own.at(-1)).toMatchObject({ finishReason: "length", usage: { completionTokens: 50 } });
		}
	});
});

describe("requests that cannot be served", () => {
	it.each([
		[{ tokenIds: [] }, "prompt", "INVALID_ARGUMENT"],
		[{ tokenIds: [1000] }, "prompt", "INVALID_ARGUMENT"],
		[{ tokenIds: [1.5] }, "prompt", "INVALID_ARGUMENT"],
		[{ tokenIds: text(1, 512) }, "prompt", "CONTEXT_LENGTH_EXCEEDED"],
		[{ tokenIds: text(1, 500), stop: { maxTokens: 13 } }, "max_tokens", "CONTEXT_LENGTH_EXCEEDED"],
		[{ tokenIds: [4], stop: { maxTokens: 0 } }, "max_tokens", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], stop: { minTokens: -1 } }, "min_tokens", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], stop: { stopTokenIds: [-3] } }, "stop_token_ids", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], stop: { visibleStopTokenIds: [1.5] } }, "stop_token_ids", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], routing: { dpRank: 1 } }, "dp_rank", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], guided: { kind: "json_object" as const } }, "guided_json_object", "UNIMPLEMENTED"],
		[{ tokenIds: [4], sampling: { n: 129 } }, "n", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { temperature: 2.1 } }, "temperature", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { topP: 0 } }, "top_p", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { topK: -2 } }, "top_k", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { minP: Number.NaN } }, "min_p", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], resumedTokens: 2 }, "resumed_tokens", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { presencePenalty: 3 } }, "presence_penalty", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { frequencyPenalty: -3 } }, "frequency_penalty", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { repetitionPenalty: 0 } }, "repetition_penalty", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { seed: 0.5 } }, "seed", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { logitBias: new Map([[1000, 1]]) } }, "logit_bias", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { logitBias: new Map([[1, 101]]) } }, "logit_bias", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], output: { logprobs: 21 } }, "logprobs", "INVALID_ARGUMENT"],
	])("%j names %s", async (init, param, code) => {
		const { engine, backend } = await paperEngine();
		await expect(collect(engine, greedy(init))).rejects.toMatchObject({ code, details: { param } });
		expect(backend.steps).toHaveLength(0);
	});

	it("takes what just fits, to its last token", async () => {
		const { engine } = await paperEngine({ numKvBlocks: 4 });
		const outputs = await collect(engine, greedy({ tokenIds: text(1, 100), stop: { maxTokens: null } }));
		expect(tokensOf(outputs)).toHaveLength(28);
		expect(outputs.at(-1)!.finishReason).toBe("length");
		expect(await codeOf(collect(engine, greedy({ tokenIds: text(1, 128) })))).toBe("CONTEXT_LENGTH_EXCEEDED");
	});

	it("says done after the refusal", async () => {
		const { engine } = await paperEngine();
		const iterator = engine
			.generate(greedy({ tokenIds: [] }), createRequestContext())
			[Symbol.asyncIterator]();
		expect(await codeOf(iterator.next())).toBe("INVALID_ARGUMENT");
		expect(await iterator.next()).toEqual({ value: undefined, done: true });
	});
});
