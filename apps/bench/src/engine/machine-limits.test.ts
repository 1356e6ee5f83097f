// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { parseLimits } from "./machine-limits.js";

it("takes tiles for vectors where there are both, and the speed of the size next to what is asked for", () => {
	const limits = parseLimits(
		"fp32 3.7e+11\nbf16 1.8e+11\nint8 1.6e+12\nbf16 2.8e+12\nread 98 5.8e+10\nread 270 3.5e+10\n",
	);
	expect(limits.operationsPerSecond).toEqual({ fp32: 3.7e11, bf16: 2.8e12, int8: 1.6e12 });
	expect(limits.bytesPerSecond(100e6)).toBe(5.8e10);
	expect(limits.bytesPerSecond(1e9)).toBe(3.5e10);
});

it("says nothing of bf16 where the instruction set has none", () => {
	expect(parseLimits("fp32 1e11\nint8 2e11\nread 1 1e10\n").operationsPerSecond).toEqual({
		fp32: 1e11,
		int8: 2e11,
	});
});
