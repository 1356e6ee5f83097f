// SPDX-License-Identifier: Apache-2.0
import type { TensorType } from "./checkpoint.js";
import { tensorByteLength } from "./tensor-type.js";

/**
 * Stored values as f32, `count` of them, in plain TypeScript: the oracle for the native kernels.
 * Layouts as in GGML (gguf v3).
 * @throws RangeError when `bytes` is not exactly what `count` values need.
 */
export function dequantize(type: TensorType, bytes: Uint8Array, count: number): Float32Array {
	if (tensorByteLength(type, count) !== bytes.byteLength) {
		throw new RangeError(`${count} values of ${type} do not take ${bytes.byteLength} bytes`);
	}
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const out = new Float32Array(count);
	DECODERS[type](view, bytes, out);
	return out;
}

type Decoder = (view: DataView, bytes: Uint8Array, out: Float32Array) => void;

const DECODERS: Readonly<Record<TensorType, Decoder>> = {
	F32: (view, _bytes, out) => {
		for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(i * 4, true);
	},
	F16: (view, _bytes, out) => {
		for (let i = 0; i < out.length; i++) out[i] = halfToFloat(view.getUint16(i * 2, true));
	},
	BF16: (view, _bytes, out) => {
		const bits = new Uint32Array(out.buffer);
		for (let i = 0; i < out.length; i++) bits[i] = view.getUint16(i * 2, true) << 16;
	},
	Q4_0: blocksOf32(18, (view, bytes, at, group) => {
		const scale = halfToFloat(view.getUint16(at, true));
		nibbles(bytes, at + 2, (i, code) => group(i, scale * (code - 8)));
	}),
	Q4_1: blocksOf32(20, (view, bytes, at, group) => {
		const scale = halfToFloat(view.getUint16(at, true));
		const min = halfToFloat(view.getUint16(at + 2, true));
		nibbles(bytes, at + 4, (i, code) => group(i, Math.fround(scale * code) + min));
	}),
	Q5_0: blocksOf32(22, (view, bytes, at, group) => {
		const scale = halfToFloat(view.getUint16(at, true));
		const high = view.getUint32(at + 2, true);
		nibbles(bytes, at + 6, (i, code) => group(i, scale * ((code | (((high >>> i) & 1) << 4)) - 16)));
	}),
	Q5_1: blocksOf32(24, (view, bytes, at, group) => {
		const scale = halfToFloat(view.getUint16(at, true));
		const min = halfToFloat(view.getUint16(at + 2, true));
		const high = view.getUint32(at + 4, true);
		nibbles(bytes, at + 8, (i, code) =>
			group(i, Math.fround(scale * (code | (((high >>> i) & 1) << 4))) + min),
		);
	}),
	Q8_0: blocksOf32(34, (view, _bytes, at, group) => {
		const scale = halfToFloat(view.getUint16(at, true));
		for (let i = 0; i < 32; i++) group(i, scale * view.getInt8(at + 2 + i));
	}),
	Q4_K: (view, bytes, out) => superBlocks(view, bytes, out, 144, 16, null),
	Q5_K: (view, bytes, out) => superBlocks(view, bytes, out, 176, 48, 16),
	Q6_K: (view, bytes, out) => {
		for (let at = 0, to = 0; to < out.length; at += 210, to += 256) {
			const d = halfToFloat(view.getUint16(at + 208, true));
			for (let i = 0; i < 256; i++) {
				const half = i >> 7;
				const quarter = (i >> 5) & 3;
				const lane = i & 31;
				const low = bytes[at + half * 64 + (quarter & 1) * 32 + lane]!;
				const high = (bytes[at + 128 + half * 32 + lane]! >> (2 * quarter)) & 3;
				const code = (quarter < 2 ? low & 15 : low >> 4) | (high << 4);
				out[to + i] = Math.fround(d * view.getInt8(at + 192 + (i >> 4))) * (code - 32);
			}
		}
	},
};

/** A decoder of 32-value blocks from a function that decodes one; `group(i, value)` stores value i of the block. */
function blocksOf32(
	blockBytes: number,
	decode: (view: DataView, bytes: Uint8Array, at: number, group: (i: number, value: number) => void) => void,
): Decoder {
	return (view, bytes, out) => {
		for (let at = 0, to = 0; to < out.length; at += blockBytes, to += 32) {
			decode(view, bytes, at, (i, value) => {
				out[to + i] = value;
			});
		}
	};
}

/** 16 bytes: values 0..15 in the low halves, 16..31 in the high halves. */
function nibbles(bytes: Uint8Array, at: number, each: (i: number, code: number) => void): void {
	for (let i = 0; i < 16; i++) {
		each(i, bytes[at + i]! & 15);
		each(i + 16, bytes[at + i]! >> 4);
	}
}

/** Q4_K and Q5_K: 256 values with 8 groups of 32, each with a 6-bit scale and a 6-bit minimum. */
function superBlocks(
	view: DataView,
	bytes: Uint8Array,
	out: Float32Array,
	blockBytes: number,
	codes: number,
	fifth: number | null,
): void {
	for (let at = 0, to = 0; to < out.length; at += blockBytes, to += 256) {
		const d = halfToFloat(view.getUint16(at, true));
		const dMin = halfToFloat(view.getUint16(at + 2, true));
		for (let group = 0; group < 8; group++) {
			const [scale, min] = sixBitPair(bytes, at + 4, group);
			const groupScale = Math.fround(d * scale);
			const groupMin = Math.fround(dMin * min);
			for (let i = 0; i < 32; i++) {
				const byte = bytes[at + codes + (group >> 1) * 32 + i]!;
				let code = group & 1 ? byte >> 4 : byte & 15;
				if (fifth !== null) code |= ((bytes[at + fifth + i]! >> group) & 1) << 4;
				out[to + group * 32 + i] = Math.fround(groupScale * code) - groupMin;
			}
		}
	}
}

function sixBitPair(bytes: Uint8Array, at: number, group: number): readonly [number, number] {
	const byte = (i: number) => bytes[at + i]!;
	if (group < 4) return [byte(group) & 63, byte(group + 4) & 63];
	return [
		(byte(group + 4) & 15) | ((byte(group - 4) >> 6) << 4),
		(byte(group + 4) >> 4) | ((byte(group) >> 6) << 4),
	];
}

function halfToFloat(half: number): number {
	const sign = half & 0x8000 ? -1 : 1;
	const exponent = (half >> 10) & 31;
	const mantissa = half & 1023;
	if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
	return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
