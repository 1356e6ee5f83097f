// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { Trust } from "./trust.js";

const after = (outcomes: readonly boolean[], doubt = 0.2) => {
	const trust = new Trust();
	for (const right of outcomes) trust.learn(doubt, right);
	return trust;
};
const outcomes = (count: number, wrongEvery: number) =>
	Array.from({ length: count }, (_, i) => (i + 1) % wrongEvery !== 0);

it("believes a doubt until something is known", () => {
	expect(new Trust().chance(0.2)).toBeCloseTo(0.8);
	expect(new Trust().chance(0)).toBe(1);
});

it("comes to the rate at which guesses are wrong", () => {
	expect(after(outcomes(200, 5)).chance(0.2)).toBeCloseTo(0.8, 1);
	expect(after(outcomes(200, 2)).chance(0.2)).toBeCloseTo(0.5, 1);
	expect(after(outcomes(200, 1000)).chance(0.2)).toBeGreaterThan(0.9);
	expect(after(outcomes(20, 1)).chance(0.2)).toBeLessThan(0.25);
	expect(after(outcomes(200, 1)).chance(0.5)).toBeLessThan(0.1);
});

it("takes a wrong guess of which little was doubted for a worse sign", () => {
	expect(after([false], 0.05).chance(0.2)).toBeLessThan(after([false], 0.9).chance(0.2));
	expect(after([true], 0.05).chance(0.2)).toBeLessThan(after([true], 0.9).chance(0.2));
});

it("forgets", () => {
	const often = after([...outcomes(100, 1), ...outcomes(300, 1000)]);
	expect(often.chance(0.2)).toBeGreaterThan(0.85);
});
