// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { minima, slope } from "./slope.js";

const rising = Array.from({ length: 60 }, (_, index) => ({ ms: index * 100, value: 50 + index * 0.2 }));

it("finds a slow rise below a saw-tooth that is higher and falls", () => {
	const sawTooth = rising.map(({ ms, value }, index) => ({
		ms,
		value: value + (index % 10) * (8 - index / 10),
	}));
	expect(slope(minima(sawTooth, 1000)) * 1000).toBeCloseTo(2, 6);
});

it("takes the smallest sample of each window, whatever time the first has", () => {
	const samples = [7, 3, 9, 4, 1, 5].map((value, index) => ({ ms: 450 + index * 100, value }));
	expect(minima(samples, 300)).toEqual([
		{ ms: 550, value: 3 },
		{ ms: 850, value: 1 },
	]);
});

it("is not moved by a window without a collection", () => {
	const samples = rising.map((sample, index) => (index === 40 ? { ...sample, value: 500 } : sample));
	expect(slope(samples) * 1000).toBeCloseTo(2, 6);
});

it("has no slope for one sample", () => {
	expect(slope([{ ms: 1, value: 2 }])).toBe(0);
});
