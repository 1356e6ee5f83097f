// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { guessLengths } from "./guess-lengths.js";

const alike = (count: number, chance: number, guessMs = 1, limit = 8) =>
	Array.from({ length: count }, () => ({ chances: new Array<number>(limit).fill(chance), guessMs }));
/** A step of which so much is there whatever its rows, with 1 ms for each of them. */
const step = (tokens: number, baseMs = 5) => ({ ms: baseMs + tokens, tokens });
const total = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);

describe("guessLengths", () => {
	it("guesses further where guesses come true, up to the limit", () => {
		const alone = (chance: number) => guessLengths(alike(1, chance), step(1), 64)[0]!;
		expect(alone(0.1)).toBe(0);
		expect(alone(0.3)).toBeGreaterThan(0);
		expect(alone(0.8)).toBeGreaterThan(alone(0.3));
		expect(alone(0.99)).toBe(8);
	});

	it("guesses less in a large batch", () => {
		expect(guessLengths(alike(1, 0.5), step(1), 64)[0]).toBeGreaterThan(0);
		expect(total(guessLengths(alike(16, 0.5), step(16), 64))).toBe(0);
		// The others of the batch need not guess themselves.
		expect(guessLengths(alike(1, 0.5), step(16), 64)).toEqual([0]);
	});

	it("guesses more where rows are a small part of the step", () => {
		const lengths = (baseMs: number) => total(guessLengths(alike(8, 0.8), step(8, baseMs), 64));
		expect(lengths(0)).toBe(0);
		expect(lengths(8)).toBeGreaterThan(lengths(0));
		expect(lengths(80)).toBeGreaterThan(lengths(8));
	});

	it("spends the rows on the guesses that gain most for their time", () => {
		const candidates = [...alike(2, 0.6), ...alike(1, 0.98)];
		expect(guessLengths(candidates, step(3), 3)).toEqual([0, 0, 3]);
		expect(total(guessLengths(alike(4, 0.99), step(4), 10))).toBe(10);
		const [short, long] = [alike(1, 0.9, 1)[0]!, alike(1, 0.9, 3)[0]!];
		expect(guessLengths([long, short], step(2), 4)).toEqual([0, 4]);
	});

	it("makes a costly guess only when it is likely right", () => {
		expect(guessLengths(alike(1, 0.4), step(1), 64)[0]).toBeGreaterThan(0);
		expect(guessLengths(alike(1, 0.4, 4), step(1), 64)).toEqual([0]);
		expect(guessLengths(alike(1, 0.95, 2), step(1), 64)[0]).toBeGreaterThan(1);
	});

	it("follows the chances of each guess", () => {
		const candidate = { chances: [0.5, 0.99, 0.99, 0.01, 1], guessMs: 1 };
		expect(guessLengths([candidate], step(1), 64)).toEqual([3]);
		expect(guessLengths([{ chances: [], guessMs: 0 }], step(1), 64)).toEqual([0]);
	});
});
