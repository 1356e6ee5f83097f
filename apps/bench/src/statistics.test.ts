// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { quantile, spread } from "./statistics.js";

describe("spread", () => {
	it("takes the middle of odd and even counts, unsorted", () => {
		expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5, runs: 3 });
		expect(spread([4, 1, 3, 2]).median).toBe(2.5);
	});
	it("refuses an empty list", () => {
		expect(() => spread([])).toThrow(RangeError);
	});
});

describe("quantile", () => {
	it("takes the value at the rank, sorted as numbers", () => {
		const values = [100, 9, 20, 3];
		expect([0, 0.5, 0.51, 0.99, 1].map((q) => quantile(values, q))).toEqual([3, 9, 20, 100, 100]);
	});
	it("refuses an empty list", () => {
		expect(() => quantile([], 0.5)).toThrow(RangeError);
	});
});
