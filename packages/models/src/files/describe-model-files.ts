// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CheckedFile, ModelFiles } from "@dyn/protocols";
import { checkFile } from "./check-file.js";
import { modelFolder } from "./model-folder.js";

export interface ModelFilesOptions {
	/** Folder or GGUF file whose tokenizer and template to use instead of the model's. */
	readonly tokenizerPath?: string | undefined;
	/** Jinja file that replaces the chat template. */
	readonly chatTemplatePath?: string | undefined;
}

/**
 * The Hugging Face files of a model, with sizes and BLAKE3 checksums, so that a frontend elsewhere can serve it. A folder
 * has them; for a GGUF file they are written from its metadata.
 * @param modelPath folder or GGUF file
 * @param cacheDirectory where files that have to be written go, each set in a folder named after its content
 * @throws DynError NOT_FOUND when there is nothing at a path; MODEL_FORMAT naming the file and what is wrong with it;
 * DISK_FULL or MODEL_UNAVAILABLE when the cache cannot be written
 */
export async function describeModelFiles(
	modelPath: string,
	cacheDirectory: string,
	{ tokenizerPath, chatTemplatePath }: ModelFilesOptions = {},
): Promise<ModelFiles> {
	const other = tokenizerPath !== undefined;
	const model = await modelFolder(modelPath, cacheDirectory, other ? ["config"] : ["config", "tokenizer"]);
	const text = other ? await modelFolder(tokenizerPath, cacheDirectory, ["tokenizer"]) : model;
	const optional = async (path: string): Promise<CheckedFile | null> =>
		existsSync(path) ? checkFile(path) : null;
	return {
		config: await checkFile(join(model, "config.json")),
		generationConfig: await optional(join(model, "generation_config.json")),
		tokenizer: await checkFile(join(text, "tokenizer.json")),
		tokenizerConfig: await optional(join(text, "tokenizer_config.json")),
		chatTemplate: chatTemplatePath
			? await checkFile(chatTemplatePath)
			: await optional(join(text, "chat_template.jinja")),
	};
}
