// SPDX-License-Identifier: Apache-2.0
import type { TensorType } from "./checkpoint.js";
import { tensorByteLength } from "./tensor-type.js";

/** What {@link quantize} can make: 8-bit codes with a scale, or 4-bit codes with a scale and a minimum, per 32 values. */
export type QuantizedType = Extract<TensorType, "Q8_0" | "Q4_1">;

const GROUP = 32;
const f32 = Math.fround;

/**
 * Values as blocks of a quantised type, layouts as in GGML (gguf v3). Every operation is rounded to f32 as in
 * native/src/kernels/quantise.inl.h, so both give the same blocks.
 * @throws RangeError when the values are not whole groups of 32
 */
export function quantize(type: QuantizedType, values: Float32Array): Uint8Array {
	const bytes = tensorByteLength(type, values.length);
	if (bytes === null)
		throw new RangeError(`${values.length} values are no whole number of groups of ${GROUP}`);
	const out = new DataView(new ArrayBuffer(bytes));
	const encode = type === "Q8_0" ? encodeQ8 : encodeQ4;
	const blockBytes = tensorByteLength(type, GROUP)!;
	for (let group = 0; group < values.length / GROUP; group++)
		encode(values.subarray(group * GROUP, (group + 1) * GROUP), out, group * blockBytes);
	return new Uint8Array(out.buffer);
}

/** Codes -127..127 of one scale, which maps the largest magnitude to the last code. */
function encodeQ8(x: Float32Array, out: DataView, at: number): void {
	const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
	const scale = storeHalf(out, at, f32(largest / 127));
	const factor = inverse(scale);
	for (const [i, value] of x.entries())
		out.setInt8(at + 2 + i, Math.trunc(f32(clamp(f32(value * factor), -127, 127) + 128.5)) - 128);
}

/** A weight is scale * code + min. */
interface Line {
	readonly scale: number;
	readonly min: number;
}

function encodeQ4(x: Float32Array, out: DataView, at: number): void {
	const { scale, min } = bestLine(x);
	storeHalf(out, at, scale);
	storeHalf(out, at + 2, min);
	const codes = codesOf(x, { scale, min });
	for (let i = 0; i < GROUP / 2; i++) out.setUint8(at + 4 + i, codes[i]! | (codes[i + GROUP / 2]! << 4));
}

/**
 * Of the line from the smallest to the largest value, and of lines that began as a share of it, cutting off both ends, and
 * were refitted: the one with the least error, scale and min being f16.
 */
function bestLine(x: Float32Array): Line {
	const least = x.reduce((a, b) => Math.min(a, b));
	const range = f32(x.reduce((a, b) => Math.max(a, b)) - least);
	const total = sum(x);
	let best = roundedToHalf({ scale: f32(range / 15), min: least });
	let bestError = errorOf(x, best);
	for (const share of [1, f32(0.9), f32(0.8)]) {
		const part = f32(range * share);
		let line: Line = { scale: f32(part / 15), min: f32(least + f32(f32(range - part) * 0.5)) };
		for (let round = 0; round < 3; round++) line = refit(x, total, line);
		line = roundedToHalf(line);
		const error = errorOf(x, line);
		if (error < bestError) [best, bestError] = [line, error];
	}
	return best;
}

/** The least-squares line through the values over their codes for `line`; a scale of 0 when all codes are one. */
function refit(x: Float32Array, total: number, line: Line): Line {
	const codes = Float32Array.from(codesOf(x, line));
	const [c, cc, cx] = [
		sum(codes),
		sum(codes.map((code) => code * code)),
		sum(codes.map((code, i) => code * x[i]!)),
	];
	const spread = f32(f32(GROUP * cc) - f32(c * c));
	if (!(spread > 0)) return { scale: 0, min: line.min };
	const scale = f32(f32(f32(GROUP * cx) - f32(c * total)) / spread);
	return { scale, min: f32(f32(total - f32(scale * c)) / GROUP) };
}

/** Squared error of the values' codes for `line`. */
function errorOf(x: Float32Array, line: Line): number {
	const codes = codesOf(x, line);
	const off = x.map((value, i) => f32(f32(line.scale * codes[i]!) + line.min) - value);
	return sum(off.map((value) => value * value));
}

function codesOf(x: Float32Array, { scale, min }: Line): Uint8Array {
	const factor = inverse(scale);
	return Uint8Array.from(x, (value) => f32(clamp(f32(f32(value - min) * factor), 0, 15) + 0.5));
}

function sum(x: Float32Array): number {
	return x.reduce((total, value) => f32(total + value), 0);
}

function inverse(scale: number): number {
	return scale > 0 ? f32(1 / scale) : 0;
}

function clamp(value: number, low: number, high: number): number {
	return Math.min(Math.max(value, low), high);
}

function roundedToHalf({ scale, min }: Line): Line {
	return { scale: toHalf(scale), min: toHalf(min) };
}

/** Writes an f16 and returns its value. */
function storeHalf(out: DataView, at: number, value: number): number {
	const half = toHalf(value);
	out.setUint16(at, halfBits(half), true);
	return half;
}

const LARGEST_HALF = 65504;

/** The f16 next to a value, ties to even; the largest finite one beyond it. */
function toHalf(value: number): number {
	const magnitude = Math.abs(value);
	const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14);
	const unit = 2 ** (exponent - 10);
	const steps = magnitude / unit; // exact
	const floor = Math.floor(steps);
	const up = steps - floor > 0.5 || (steps - floor === 0.5 && floor % 2 === 1);
	const half = Math.min((floor + (up ? 1 : 0)) * unit, LARGEST_HALF);
	return value < 0 && half > 0 ? -half : half; // never -0
}

/** Bits of a value that is an f16. */
function halfBits(half: number): number {
	const sign = half < 0 ? 0x8000 : 0;
	const magnitude = Math.abs(half);
	if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
	const exponent = Math.floor(Math.log2(magnitude));
	return sign | ((exponent + 15) << 10) | ((magnitude / 2 ** exponent - 1) * 1024);
}
