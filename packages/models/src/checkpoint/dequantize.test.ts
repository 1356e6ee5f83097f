// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { TensorType } from "./checkpoint.js";
import { dequantize } from "./dequantize.js";
import { tensorByteLength } from "./tensor-type.js";

const golden = JSON.parse(
	readFileSync(new URL("__fixtures__/dequantized.json", import.meta.url), "utf8"),
) as { cases: { type: TensorType; count: number; bytes: string; values: string }[] };

const bits = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];
const base64 = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));

describe("dequantize", () => {
	it("knows golden blocks of all eleven types", () => {
		expect(new Set(golden.cases.map(({ type }) => type)).size).toBe(11);
	});

	it.each(golden.cases)(
		"computes the reference's values of $type, bit by bit",
		({ type, count, bytes, values }) => {
			const found = dequantize(type, base64(bytes), count);
			expect(bits(found)).toEqual(bits(new Float32Array(base64(values).buffer)));
		},
	);

	it("reads bytes that begin anywhere in a buffer", () => {
		const { count, bytes } = golden.cases.find(({ type }) => type === "Q4_1")!;
		const shifted = new Uint8Array(base64(bytes).length + 3);
		shifted.set(base64(bytes), 3);
		expect(dequantize("Q4_1", shifted.subarray(3), count)).toEqual(dequantize("Q4_1", base64(bytes), count));
	});

	it("computes a Q4_0 block that was worked out by hand", () => {
		const block = Uint8Array.of(0x00, 0x38, ...Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4)));
		const half = [-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]; // 0.5 * (code - 8)
		expect([...dequantize("Q4_0", block, 32)]).toEqual([...half, ...half.toReversed()]);
	});

	it("refuses bytes that are not what the count needs", () => {
		expect(() => dequantize("Q8_0", new Uint8Array(33), 32)).toThrow(RangeError);
		expect(() => dequantize("Q4_K", new Uint8Array(144), 32)).toThrow(RangeError);
	});
});

describe("tensorByteLength", () => {
	it("counts whole blocks only", () => {
		expect(tensorByteLength("BF16", 3)).toBe(6);
		expect(tensorByteLength("Q4_1", 64)).toBe(40);
		expect(tensorByteLength("Q6_K", 512)).toBe(420);
		expect(tensorByteLength("Q6_K", 32)).toBeNull();
	});
});
