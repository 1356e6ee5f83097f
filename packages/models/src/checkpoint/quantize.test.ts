// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { dequantize } from "./dequantize.js";
import { type QuantizedType, quantize } from "./quantize.js";

const TYPES: readonly QuantizedType[] = ["Q8_0", "Q4_1"];

/** Sums of three uniform values: few large, most small, as weights are. */
function weights(count: number, scale: number): Float32Array {
	let state = 1;
	const uniform = () => {
		state = (Math.imul(state, 1664525) + 1013904223) | 0;
		return state / 2 ** 31;
	};
	return Float32Array.from({ length: count }, () => scale * (uniform() + uniform() + uniform()));
}

const back = (type: QuantizedType, values: Float32Array) =>
	dequantize(type, quantize(type, values), values.length);
const squares = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0);

describe("quantize", () => {
	it("makes the 8-bit block that was worked out by hand", () => {
		const values = Float32Array.from({ length: 32 }, (_, i) => (i === 5 ? -63.5 : i / 4));
		const block = quantize("Q8_0", values); // scale 0.5
		expect([...block.subarray(0, 2)]).toEqual([0x00, 0x38]);
		expect(block[2 + 5]).toBe(256 - 127);
		expect([...block.subarray(2 + 28)]).toEqual([14, 15, 15, 16]); // 14, 14.5, 15, 15.5
	});

	it("makes the 4-bit block that was worked out by hand", () => {
		const values = Float32Array.from({ length: 32 }, (_, i) => -1 + 0.125 * (i % 16));
		const block = quantize("Q4_1", values);
		expect([...block.subarray(0, 4)]).toEqual([0x00, 0x30, 0x00, 0xbc]); // 0.125, -1
		expect([...block.subarray(4)]).toEqual(Array.from({ length: 16 }, (_, i) => i * 17));
	});

	it.each([1, 1e-3, 1e3])("keeps 8-bit weights within half a step: scale %d", (scale) => {
		const values = weights(32 * 50, scale);
		const found = back("Q8_0", values);
		for (let at = 0; at < values.length; at += 32) {
			const group = values.subarray(at, at + 32);
			const step = Math.max(...group.map(Math.abs)) / 127;
			for (const [i, value] of group.entries())
				expect(Math.abs(found[at + i]! - value)).toBeLessThan(step * 0.57); // f16 scales: half a step and 127 x 2^-11
		}
	});

	it("errs an eighth less in 4 bits than a line from the smallest to the largest weight, and never more", () => {
		const values = weights(32 * 200, 0.1);
		const found = back("Q4_1", values);
		let [own, plain] = [0, 0];
		for (let at = 0; at < values.length; at += 32) {
			const group = values.subarray(at, at + 32);
			const min = Math.min(...group);
			const step = (Math.max(...group) - min) / 15;
			const line = group.map((value) => min + step * Math.round((value - min) / step));
			const error = squares(found.subarray(at, at + 32), group);
			expect(error).toBeLessThan(squares(line, group) * 1.02); // f16 scales
			own += error;
			plain += squares(line, group);
		}
		expect(own / plain).toBeLessThan(7 / 8);
	});

	it.each(TYPES)("changes nothing of %s weights", (type) => {
		const stored = back(type, weights(32 * 20, 1));
		const again = back(type, stored);
		expect(squares(again, stored)).toBeLessThan(1e-5 * squares(stored, new Float32Array(stored.length)));
	});

	it.each(TYPES)("takes groups without spread, and those beyond f16: %s", (type) => {
		const flat = new Float32Array(32).fill(0.75);
		expect([...back(type, flat)]).toEqual([...flat].map(() => expect.closeTo(0.75, 3)));
		expect([...back(type, new Float32Array(32))]).toEqual(new Array(32).fill(0));
		for (const extreme of [1e-30, 1e-7, 1e7, 1e38, Number.NaN, Number.POSITIVE_INFINITY])
			expect(quantize(type, weights(32, extreme)).length).toBe(type === "Q8_0" ? 34 : 20);
	});

	it("refuses what are no whole groups", () => {
		expect(() => quantize("Q8_0", new Float32Array(33))).toThrow(RangeError);
	});
});
