// SPDX-License-Identifier: Apache-2.0
import { createBlockHasher } from "@dyn/tokens";
import { describe, expect, it } from "vitest";
import { GREEDY } from "../native/__fixtures__/steps.js";
import { Sequence } from "../scheduler/sequence.js";
import { continuation, findMatch, PromptLookup } from "./prompt-lookup.js";

const after = (tokens: number[], limit = 4) => {
	const text = Uint32Array.from(tokens);
	const match = findMatch(text);
	return match ? [...continuation(text, match, limit)] : [];
};

describe("continuation", () => {
	it("is what followed the last tokens before", () => {
		expect(after([9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3])).toEqual([4, 5, 6, 7]);
		expect(after([9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3], 2)).toEqual([4, 5]);
	});

	it("is nothing where only one token is the same", () => {
		expect(after([9, 1, 2, 4, 5, 6, 2])).toEqual([]);
		expect(after([9, 1, 2, 4, 5, 6, 1, 2], 2)).toEqual([4, 5]);
		expect(after([1, 2, 3])).toEqual([]);
		expect(after([7])).toEqual([]);
	});

	it("follows the longest occurrence, else the latest", () => {
		const [long, short] = [
			[8, 1, 2, 3, 50],
			[9, 1, 2, 3, 60],
		];
		expect(after([...long, ...short, 8, 1, 2, 3], 1)).toEqual([50]);
		expect(after([...long, ...short, 7, 1, 2, 3], 1)).toEqual([60]);
	});

	it("takes what reaches the end for a text that repeats itself", () => {
		expect(after([5, 1, 2, 1, 2, 1, 2], 5)).toEqual([1, 2, 1, 2, 1]);
		expect(after([4, 4, 4, 4], 3)).toEqual([4, 4, 4]);
	});
});

describe("a lookup", () => {
	it("doubts a short match more than a long one, and the first guess more than those behind it", async () => {
		const hasher = await createBlockHasher();
		const lookup = new PromptLookup();
		const of = (prompt: number[]) => new Sequence({ prompt, priority: 0, hasher, processed: false });
		const [short, long, none] = [of([1, 2, 3, 1, 2]), of([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5]), of([1, 2, 3])];
		const [few, many] = [lookup.doubts(short, 3), lookup.doubts(long, 3)];
		expect(few).toHaveLength(3);
		expect(few[0]).toBeGreaterThan(many[0]!);
		expect(few[0]).toBeGreaterThan(few[2]!);
		expect(few[0]).toBeLessThan(1);
		expect(lookup.doubts(none, 3)).toEqual([]);
		const requests = [short, long, none].map((sequence) => ({ sequence, params: GREEDY, limit: 2 }));
		expect(lookup.propose(requests).map((each) => [...each])).toEqual([[3, 1], [6, 1], []]);
	});
});
