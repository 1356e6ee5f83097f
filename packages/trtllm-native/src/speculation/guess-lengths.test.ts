// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { guessLengths } from "./guess-lengths.js";

const alike = (count: number, rate: number, limit = 8) =>
	Array.from({ length: count }, () => ({ rate, limit }));
const total = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);

describe("guessLengths", () => {
	it("guesses further where guesses come true, up to the limit", () => {
		const alone = (rate: number) => guessLengths(alike(1, rate), 1, 64, 0)[0]!;
		expect(alone(0.1)).toBe(0);
		expect(alone(0.3)).toBeGreaterThan(0);
		expect(alone(0.8)).toBeGreaterThan(alone(0.3));
		expect(alone(0.99)).toBe(8);
	});

	it("guesses less in a large batch", () => {
		expect(guessLengths(alike(1, 0.5), 1, 64, 0)[0]).toBeGreaterThan(0);
		expect(total(guessLengths(alike(16, 0.5), 16, 64, 0))).toBe(0);
		// The others of the batch need not guess themselves.
		expect(guessLengths(alike(1, 0.5), 16, 64, 0)).toEqual([0]);
	});

	it("spends the rows on the likeliest guesses", () => {
		const candidates = [...alike(2, 0.6), ...alike(1, 0.98)];
		expect(guessLengths(candidates, 3, 3, 0)).toEqual([0, 0, 3]);
		expect(total(guessLengths(alike(4, 0.99), 4, 10, 0))).toBe(10);
	});

	it("asks a costly drafter only when it is likely right", () => {
		expect(guessLengths(alike(1, 0.4), 1, 64, 0)[0]).toBeGreaterThan(0);
		expect(guessLengths(alike(1, 0.4), 1, 64, 0.5)).toEqual([0]);
		expect(guessLengths(alike(1, 0.95), 1, 64, 0.2)[0]).toBeGreaterThan(1);
	});
});
