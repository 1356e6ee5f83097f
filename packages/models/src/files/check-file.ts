// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { DynError } from "@dyn/common";
import type { CheckedFile } from "@dyn/protocols";
import { blake3 } from "hash-wasm";

/** @throws DynError MODEL_FORMAT when the file cannot be read */
export async function checkFile(path: string): Promise<CheckedFile> {
	const bytes = await readFile(path).catch((error) => {
		throw new DynError("MODEL_FORMAT", `${path} cannot be read: ${(error as Error).message}`, {
			cause: error,
			details: { file: path },
		});
	});
	return { path: resolve(path), checksum: `blake3:${await blake3(bytes)}`, sizeBytes: bytes.length };
}
