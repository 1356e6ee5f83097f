// SPDX-License-Identifier: Apache-2.0
import { open } from "node:fs/promises";
import { DynError } from "@dyn/common";
import type { TensorInfo } from "./checkpoint.js";
import { dequantize } from "./dequantize.js";

/**
 * A tensor's values as f32, row-major; `count` is the product of its shape. Whole in memory: for small models and tests.
 * @throws DynError MODEL_FORMAT when the file has gone or is shorter than its header said
 */
export async function readTensor(
	info: Pick<TensorInfo, "name" | "type" | "file" | "offset" | "byteLength">,
	count: number,
): Promise<Float32Array> {
	const file = await open(info.file, "r").catch((error) => {
		throw new DynError("MODEL_FORMAT", `cannot open ${info.file}: ${(error as Error).message}`, {
			cause: error,
		});
	});
	try {
		const bytes = new Uint8Array(info.byteLength);
		const { bytesRead } = await file.read(bytes, 0, bytes.length, info.offset);
		if (bytesRead !== bytes.length)
			throw new DynError("MODEL_FORMAT", `${info.file} is truncated: tensor ${info.name} is incomplete`);
		return dequantize(info.type, bytes, count);
	} finally {
		await file.close();
	}
}
