// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { uniformAt } from "./rng.js";

describe("uniformAt", () => {
	it("is SplitMix64: the published first outputs for the seed 1234567", () => {
		// https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
		const outputs = [
			6457827717110365317n,
			3203168211198807973n,
			9817491932198370423n,
			4593380528125082431n,
			16408922859458223821n,
		];
		for (const [k, output] of outputs.entries())
			expect(uniformAt(1234567n, k)).toBe(Number(output >> 11n) / 2 ** 53);
	});

	it("wraps at 64 bits and stays below 1", () => {
		const largest = 2n ** 64n - 1n;
		for (const k of [0, 1, 2 ** 31, 2 ** 32, 2 ** 40])
			for (const seed of [0n, largest]) {
				expect(uniformAt(seed, k)).toBeGreaterThanOrEqual(0);
				expect(uniformAt(seed, k)).toBeLessThan(1);
			}
		// The sequence of a seed, one step on, is that of the seed plus the golden gamma.
		expect(uniformAt(largest, 1)).toBe(uniformAt((largest + 0x9e37_79b9_7f4a_7c15n) % 2n ** 64n, 0));
	});

	it("is even", () => {
		const tenths = new Array<number>(10).fill(0);
		for (let k = 0; k < 10_000; k++) tenths[Math.floor(uniformAt(42n, k) * 10)]!++;
		const chiSquare = tenths.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
		expect(chiSquare).toBeLessThan(27.9); // 9 degrees of freedom: above this once in a thousand
	});
});
