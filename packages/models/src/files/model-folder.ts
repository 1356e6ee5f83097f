// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { openCheckpoint } from "../checkpoint/open-checkpoint.js";
import { configDocuments, type Documents, tokenizerDocuments } from "./gguf-documents.js";
import { writeDocuments } from "./write-documents.js";

/** config.json and what goes with it, or tokenizer.json and what goes with it. */
export type FilePart = "config" | "tokenizer";

/**
 * The folder that has these parts of a model as Hugging Face files: `path` itself, or one below `cacheDirectory` written
 * from the metadata of the GGUF file at `path`.
 * @throws DynError NOT_FOUND, MODEL_FORMAT
 */
export async function modelFolder(
	path: string,
	cacheDirectory: string,
	parts: readonly FilePart[],
): Promise<string> {
	const missing = parts.find((part) => !existsSync(join(path, `${part}.json`)));
	if (missing === undefined) return path;
	const checkpoint = await openCheckpoint(path);
	if (checkpoint.format !== "gguf")
		throw new DynError("MODEL_FORMAT", `the folder ${path} has no ${missing}.json; fetch the model again`, {
			details: { file: join(path, `${missing}.json`) },
		});
	const documents: Documents = new Map(
		parts.flatMap((part) => [
			...(part === "config" ? configDocuments(checkpoint) : tokenizerDocuments(checkpoint)),
		]),
	);
	return writeDocuments(cacheDirectory, documents);
}
