// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import type { TensorData } from "./tensor-data.js";

/** A safetensors file: u64 header length, JSON header padded to 8 bytes, data in the order given. */
export function encodeSafetensors(tensors: readonly TensorData[]): Uint8Array {
	const header: Record<string, unknown> = {};
	let end = 0;
	for (const { name, type, shape, bytes } of tensors) {
		const begin = end;
		end += bytes.length;
		header[name] = { dtype: type, shape, data_offsets: [begin, end] };
	}
	const text = Buffer.from(JSON.stringify(header));
	const padded = Buffer.concat([text, Buffer.alloc(-text.length & 7, " ")]);
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(padded.length));
	return Buffer.concat([length, padded, ...tensors.map(({ bytes }) => bytes)]);
}

export async function writeSafetensors(path: string, tensors: readonly TensorData[]): Promise<void> {
	await writeFile(path, encodeSafetensors(tensors));
}
