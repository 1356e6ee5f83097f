// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { continuation } from "./prompt-lookup.js";

const after = (tokens: number[], limit = 4) => [...continuation(Uint32Array.from(tokens), limit)];

describe("continuation", () => {
	it("is what followed the last tokens before", () => {
		expect(after([9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3])).toEqual([4, 5, 6, 7]);
		expect(after([9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3], 2)).toEqual([4, 5]);
	});

	it("is nothing where only two tokens are the same", () => {
		expect(after([9, 1, 2, 4, 5, 6, 1, 2])).toEqual([]);
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
