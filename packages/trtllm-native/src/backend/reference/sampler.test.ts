// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { GREEDY } from "../../native/__fixtures__/steps.js";
import type { SamplerParams } from "../forward-backend.js";
import { uniformAt } from "./rng.js";
import { ReferenceSampler } from "./sampler.js";

const NOTHING = new Uint32Array(0);

/** Logits after one draw, as the sampler adjusted them, and what it chose. */
function sample(
	params: Partial<SamplerParams>,
	logits: readonly number[],
	context: readonly number[] = [],
	generated = 0,
) {
	const row = Float32Array.from(logits);
	const sampler = new ReferenceSampler({ ...GREEDY, ...params }, Uint32Array.from(context), generated);
	return { ...sampler.sample(3, row)!, adjusted: [...row] };
}

/** Ids chosen in a row from the same logits. */
function draws(params: Partial<SamplerParams>, logits: readonly number[], count: number): number[] {
	const sampler = new ReferenceSampler({ ...GREEDY, ...params }, NOTHING, 0);
	return Array.from({ length: count }, () => sampler.sample(0, Float32Array.from(logits))!.tokenId);
}

describe("penalties", () => {
	it("repetition: over prompt and output, away from what was seen on either side of 0", () => {
		const { adjusted } = sample({ repetitionPenalty: 2 }, [4, -4, 4, -4], [0, 1], 1);
		expect(adjusted).toEqual([2, -8, 4, -4]);
	});

	it("presence and frequency: over the output only, the latter by count", () => {
		const params = { presencePenalty: 0.5, frequencyPenalty: 0.25 };
		const { adjusted } = sample(params, [1, 1, 1, 1], [0, 1, 2, 2, 2, 1], 4); // output: 2, 2, 2, 1... and the prompt 0, 1
		expect(adjusted).toEqual([1, 1 - 0.75, 1 - 1.25, 1]);
	});

	it("in order: repetition, then presence, then bias", () => {
		const params = {
			repetitionPenalty: 2,
			presencePenalty: 1,
			biasIds: Uint32Array.of(0),
			biasValues: Float32Array.of(10),
		};
		expect(sample(params, [8, 0], [0], 1).adjusted[0]).toBe(8 / 2 - 1 + 10);
	});

	it("count what the sampler chose itself", () => {
		expect(draws({ presencePenalty: 2 }, [3, 2, 0.5], 4)).toEqual([0, 1, 0, 0]);
		expect(draws({ frequencyPenalty: 1 }, [3, 2.5, 0], 4)).toEqual([0, 1, 0, 1]);
	});
});

describe("suppressed ids", () => {
	it("return after minTokens, counting what was generated before", () => {
		const params = { endIds: Uint32Array.of(0), minTokens: 2 };
		expect(draws(params, [9, 1], 3)).toEqual([1, 1, 0]);
		expect(sample(params, [9, 1], [5, 1, 1], 2).tokenId).toBe(0);
	});

	it("cannot be brought back by a bias", () => {
		const bias = { biasIds: Uint32Array.of(0), biasValues: Float32Array.of(100) };
		expect(sample({ ...bias, endIds: Uint32Array.of(0), minTokens: 1 }, [0, 0]).tokenId).toBe(1);
	});
});

describe("bad words", () => {
	const words = (...words: readonly number[][]) => ({
		badWords: words.map((word) => Uint32Array.from(word)),
	});

	it("of one token are never chosen, whatever a bias says", () => {
		const bias = { biasIds: Uint32Array.of(0), biasValues: Float32Array.of(100) };
		expect(sample({ ...words([0]), ...bias, logprobs: 3 }, [5, 1, 0])).toMatchObject({
			tokenId: 1,
			topIds: Uint32Array.of(1, 2),
		});
	});

	it("of several are not completed, over prompt and answer", () => {
		expect(draws(words([0, 0]), [5, 1], 4)).toEqual([0, 1, 0, 1]);
		expect(draws(words([0, 0, 0], [1, 0]), [5, 1], 6)).toEqual([0, 0, 1, 1, 1, 1]);
		expect(sample(words([7, 8, 0]), [5, 1], [7, 8]).tokenId).toBe(1);
		expect(sample(words([7, 8, 0]), [5, 1], [8]).tokenId).toBe(0);
		expect(sample(words([7, 8, 0]), [5, 1], [8, 7]).tokenId).toBe(0);
	});

	it("leave no token when the others cannot be", () => {
		const sampler = new ReferenceSampler({ ...GREEDY, ...words([0]) }, NOTHING, 0);
		expect(sampler.sample(0, Float32Array.of(5, -Infinity))).toBeNull();
		expect(sampler.sample(0, Float32Array.of(5, 1), Uint32Array.of(0b01))).toBeNull();
		expect(sampler.sample(0, Float32Array.of(5, 1), Uint32Array.of(0b11))?.tokenId).toBe(1);
	});
});

describe("a draw", () => {
	/** The ids that ever come out of 400 draws. */
	const support = (params: Partial<SamplerParams>, logits: readonly number[]) =>
		[...new Set(draws({ temperature: 1, ...params }, logits, 400))].sort((a, b) => a - b);
	// Probabilities 0.1, 0.4, 0.2, 0.3
	const logits = [0.1, 0.4, 0.2, 0.3].map(Math.log);

	it("greedy: the lowest of the best, whatever the seed", () => {
		expect(draws({ seedLow: 9 }, [1, 5, 5, 2], 3)).toEqual([1, 1, 1]);
	});

	it("inverts the distribution in order of ids at the seed's numbers", () => {
		const params = { temperature: 1, seedLow: 7, seedHigh: 1 };
		const expected = Array.from({ length: 50 }, (_, k) => {
			const uniform = uniformAt((1n << 32n) | 7n, k);
			return [0.1, 0.5, 0.7, 1].findIndex((edge) => uniform < edge);
		});
		expect(draws(params, logits, 50)).toEqual(expected);
		expect(new Set(expected).size).toBe(4);
	});

	it("goes on where a preempted sequence was", () => {
		const params = { temperature: 1, seedLow: 5 };
		const all = draws(params, logits, 6);
		expect(sample(params, logits, [...all.slice(0, 5)], 5).tokenId).toBe(all[5]);
	});

	it("top-k keeps the k most likely, equals by id", () => {
		expect(support({ topK: 2 }, logits)).toEqual([1, 3]);
		expect(support({ topK: 2 }, [1, 1, 1])).toEqual([0, 1]);
		expect(support({ topK: 0 }, logits)).toEqual([0, 1, 2, 3]);
		expect(support({ topK: 9 }, logits)).toEqual([0, 1, 2, 3]);
	});

	it("top-p keeps the smallest set that reaches p", () => {
		expect(support({ topP: 0.3 }, logits)).toEqual([1]);
		expect(support({ topP: 0.65 }, logits)).toEqual([1, 3]);
		expect(support({ topP: 0.75 }, logits)).toEqual([1, 2, 3]);
	});

	it("top-p is of what top-k left", () => {
		expect(support({ topK: 2, topP: 0.5 }, logits)).toEqual([1]); // 0.4 of 0.7
		expect(support({ topK: 2, topP: 0.6 }, logits)).toEqual([1, 3]);
	});

	it("min-p is relative to the most likely", () => {
		expect(support({ minP: 0.6 }, logits)).toEqual([1, 3]);
		expect(support({ minP: 0.2 }, logits)).toEqual([0, 1, 2, 3]);
	});

	it("temperature comes before the cut-offs", () => {
		expect(support({ temperature: 0.5, minP: 0.6 }, logits)).toEqual([1]); // (0.3 / 0.4)^2 < 0.6
		expect(support({ temperature: 4, minP: 0.6 }, logits)).toEqual([0, 1, 2, 3]);
	});

	it("never takes what has no probability", () => {
		expect(support({}, [-Infinity, 0, -Infinity, 0])).toEqual([1, 3]);
		expect(support({ topP: 0.999 }, [-Infinity, 0, -Infinity, 0])).toEqual([1, 3]);
	});
});

describe("log-probabilities", () => {
	it("are of the adjusted logits before temperature, alternatives most likely first", () => {
		const params = {
			logprobs: 2,
			temperature: 5,
			topK: 1,
			biasIds: Uint32Array.of(0),
			biasValues: Float32Array.of(Math.log(3)),
		};
		const { slot, tokenId, logprob, topIds, topLogprobs } = sample(params, [0, 0, -50]);
		expect([slot, tokenId]).toEqual([3, 0]);
		expect(logprob).toBeCloseTo(Math.log(0.75), 6);
		expect([...topIds]).toEqual([0, 1]);
		expect(topLogprobs[1]).toBeCloseTo(Math.log(0.25), 6);
	});

	it("are NaN and empty unless asked for, and without alternatives for 0", () => {
		const none = sample({}, [1, 2]);
		expect([none.logprob, none.topIds.length, none.topLogprobs.length]).toEqual([Number.NaN, 0, 0]);
		const own = sample({ logprobs: 0 }, [1, 1]);
		expect(own.logprob).toBeCloseTo(-Math.LN2, 6);
		expect(own.topIds).toHaveLength(0);
	});
});
