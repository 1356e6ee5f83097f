// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ceiling, workOf } from "./ceiling.js";
import type { MachineLimits } from "./machine-limits.js";
import type { ModelShape } from "./model-shape.js";

/** SmolLM2-135M Q4_1: 106.2 M parameters in the layers, a head of 49,152 x 576. */
const shape: ModelShape = {
	weightBytes: 96_600_000,
	kvBytesOfToken: 23_040,
	layerProducts: 106_168_320,
	headProducts: 28_311_552,
	attentionProducts: 34_560,
	numbers: "int8",
};
const limits = (fp32: number, int8: number, bf16?: number): MachineLimits => ({
	bytesPerSecond: () => 57.9e9,
	operationsPerSecond: { fp32, int8, ...(bf16 !== undefined && { bf16 }) },
});

describe("workOf", () => {
	it("counts a prompt's rows, every pair of rows that see each other, and one row of the head", () => {
		const { tokens, operations } = workOf(
			{ op: "pp", n: 4 },
			{ ...shape, layerProducts: 1000, headProducts: 7, attentionProducts: 10 },
		);
		expect([tokens, operations]).toEqual([4, 2 * (4000 + 10 * (1 + 2 + 3 + 4) + 7)]);
	});

	it("counts the weights once per step and the cache of every sequence", () => {
		const { tokens, bytes } = workOf({ op: "dec", batch: 8, ctx: 512, steps: 32 }, shape);
		expect([tokens, bytes]).toEqual([8, 96_600_000 + 8 * 528 * 23_040]);
	});

	it("counts the head for every row of a step", () => {
		const work = workOf(
			{ op: "dec", batch: 2, ctx: 9, steps: 2 },
			{ ...shape, layerProducts: 1000, headProducts: 100, attentionProducts: 1 },
		);
		expect(work.operations).toBe(2 * 2 * (1000 + 100 + 10));
	});
});

describe("ceiling", () => {
	it("is what memory gives where little is computed", () => {
		const { tokensPerSecond, limit } = ceiling(
			workOf({ op: "dec", batch: 1, ctx: 0, steps: 32 }, shape),
			"int8",
			limits(372e9, 1604e9),
		);
		expect(limit).toBe("memory");
		expect(tokensPerSecond).toBeCloseTo(597, 0);
	});

	it("is what arithmetic gives where much is computed", () => {
		const { tokensPerSecond, limit } = ceiling(
			workOf({ op: "pp", n: 512 }, shape),
			"int8",
			limits(372e9, 1604e9),
		);
		expect(limit).toBe("arithmetic");
		expect(tokensPerSecond).toBeCloseTo(6970, -2);
	});

	it("takes the fastest of what numbers of that width can be multiplied as", () => {
		const work = workOf({ op: "pp", n: 512 }, shape);
		const speed = (numbers: ModelShape["numbers"], machine: MachineLimits) =>
			ceiling(work, numbers, machine).tokensPerSecond;
		const fp32 = speed("fp32", limits(372e9, 1604e9, 800e9));
		expect(speed("bf16", limits(372e9, 1604e9))).toBe(fp32);
		expect(speed("bf16", limits(372e9, 1604e9, 182e9))).toBe(fp32); // slower than widening
		expect(speed("bf16", limits(372e9, 1604e9, 744e9)) / fp32).toBeCloseTo(2);
		expect(speed("int8", limits(372e9, 200e9))).toBe(fp32); // AVX2 may be so
	});
});
