// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import type { GgufValue, TensorType } from "../checkpoint/checkpoint.js";
import type { TensorData } from "./tensor-data.js";

const ALIGNMENT = 32;
const TYPE_NUMBERS: Readonly<Record<TensorType, number>> = {
	F32: 0,
	F16: 1,
	Q4_0: 2,
	Q4_1: 3,
	Q5_0: 6,
	Q5_1: 7,
	Q8_0: 8,
	Q4_K: 12,
	Q5_K: 13,
	Q6_K: 14,
	BF16: 30,
};

/**
 * A GGUF v3 file. Metadata types follow from the values: text, booleans, integers (u32 or i32), other numbers (f32),
 * bigint (u64 or i64); an array takes the type that holds all its elements.
 */
export function encodeGguf(
	metadata: Readonly<Record<string, GgufValue>>,
	tensors: readonly TensorData[],
): Uint8Array {
	const entries = Object.entries(metadata);
	const parts: Uint8Array[] = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(entries.length)];
	for (const [key, value] of entries) {
		const type = typeOf([value]);
		parts.push(text(key), u32(type), encode(type, value));
	}
	let offset = 0;
	for (const { name, type, shape, bytes } of tensors) {
		const dimensions = [...shape].reverse().map((size) => u64(size));
		parts.push(text(name), u32(shape.length), ...dimensions, u32(TYPE_NUMBERS[type]), u64(offset));
		offset += padded(bytes).length;
	}
	return Buffer.concat([padded(Buffer.concat(parts)), ...tensors.map(({ bytes }) => padded(bytes))]);
}

export async function writeGguf(
	path: string,
	metadata: Readonly<Record<string, GgufValue>>,
	tensors: readonly TensorData[],
): Promise<void> {
	await writeFile(path, encodeGguf(metadata, tensors));
}

/** The metadata type number that holds every one of `values`. */
function typeOf(values: readonly GgufValue[]): number {
	const every = (test: (value: GgufValue) => boolean) => values.every(test);
	if (every((value) => typeof value === "string")) return 8;
	if (every((value) => typeof value === "boolean")) return 7;
	if (every((value) => Array.isArray(value))) return 9;
	if (every((value) => typeof value === "bigint")) return every((value) => (value as bigint) >= 0) ? 10 : 11;
	if (!every((value) => Number.isInteger(value))) return 6;
	return every((value) => (value as number) >= 0) ? 4 : 5;
}

function encode(type: number, value: GgufValue): Uint8Array {
	switch (type) {
		case 4:
			return u32(value as number);
		case 5:
			return new Uint8Array(Int32Array.of(value as number).buffer);
		case 6:
			return new Uint8Array(Float32Array.of(value as number).buffer);
		case 7:
			return Uint8Array.of(Number(value));
		case 8:
			return text(value as string);
		case 9: {
			const items = value as readonly GgufValue[];
			const itemType = typeOf(items);
			return Buffer.concat([
				u32(itemType),
				u64(items.length),
				...items.map((item) => encode(itemType, item)),
			]);
		}
		default:
			return u64(BigInt.asUintN(64, value as bigint));
	}
}

function u32(value: number): Uint8Array {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}

function u64(value: number | bigint): Uint8Array {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(BigInt(value));
	return bytes;
}

function text(value: string): Uint8Array {
	const bytes = Buffer.from(value);
	return Buffer.concat([u64(bytes.length), bytes]);
}

function padded(bytes: Uint8Array): Uint8Array {
	return Buffer.concat([bytes, Buffer.alloc(-bytes.length & (ALIGNMENT - 1))]);
}
