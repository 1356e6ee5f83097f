// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { DynError } from "@dyn/common";
import { createBLAKE3 } from "hash-wasm";
import { isFileError } from "../store/file-errors.js";
import type { Documents } from "./gguf-documents.js";

/**
 * Writes JSON documents by file name into a folder below `directory` that is named after their content; what is there
 * already stays. Each file appears whole, whatever other processes do.
 * @returns the folder
 * @throws DynError DISK_FULL, MODEL_UNAVAILABLE
 */
export async function writeDocuments(directory: string, documents: Documents): Promise<string> {
	const files = [...documents].map(([name, document]) => ({ name, text: JSON.stringify(document) }));
	const identity = await createBLAKE3();
	for (const { name, text } of files) identity.update(JSON.stringify([name, text]));
	const folder = join(resolve(directory), identity.digest("hex").slice(0, 32));
	try {
		await mkdir(folder, { recursive: true });
		await Promise.all(files.map(({ name, text }) => place(folder, name, text)));
	} catch (error) {
		if (!isFileError(error)) throw error;
		const isFull = error.code === "ENOSPC" || error.code === "EDQUOT";
		throw new DynError(
			isFull ? "DISK_FULL" : "MODEL_UNAVAILABLE",
			`cannot write the model's tokenizer files to ${folder}: ${error.message}; ${isFull ? "free some space" : "make it writable"}`,
			{ cause: error },
		);
	}
	return folder;
}

async function place(folder: string, name: string, text: string): Promise<void> {
	const path = join(folder, name);
	if ((await readFile(path, "utf8").catch(() => null)) === text) return;
	const unfinished = join(folder, `.${name}.${randomUUID()}`);
	try {
		await writeFile(unfinished, text);
		await rename(unfinished, path);
	} finally {
		await rm(unfinished, { force: true });
	}
}
