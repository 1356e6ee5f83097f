// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { spread } from "./statistics.js";

describe("spread", () => {
	it("takes the middle of odd and even counts, unsorted", () => {
		expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5, runs: 3 });
		expect(spread([4, 1, 3, 2]).median).toBe(2.5);
	});
	it("refuses an empty list", () => {
		expect(() => spread([])).toThrow(RangeError);
	});
});
