// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { join } from "node:path";
import { GgufMetadata, ggufTokenizer, openCheckpoint } from "@dyn/models";
import { namedToken } from "../named-token.js";
import { readJsonFile } from "../read-json-file.js";
import { createNativeTokenizer } from "./native-tokenizer.js";
import type { Tokenizer } from "./tokenizer.js";
import { parseTokenizerDocument } from "./tokenizer-document.js";

/**
 * Loads the tokenizer of a model: a folder with `tokenizer.json`, or a GGUF file (or a folder with one), whose
 * vocabulary is turned into the same document.
 * @throws DynError NOT_FOUND when there is nothing at `path`, MODEL_FORMAT when it cannot be read or is of a kind
 * that is not supported.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
	const file = join(path, "tokenizer.json");
	return existsSync(file) ? loadFolder(path, file) : loadGguf(path);
}

async function loadFolder(path: string, file: string): Promise<Tokenizer> {
	const document = parseTokenizerDocument(await readJsonFile(file), file);
	const ids = new Map(document.model.vocab);
	for (const { content, id } of document.addedTokens) ids.set(content, id);
	const [config, generation, model] = await Promise.all(
		["tokenizer_config.json", "generation_config.json", "config.json"].map(async (name) => {
			const value = existsSync(join(path, name)) ? await readJsonFile(join(path, name)) : {};
			return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
		}),
	);
	const idOfName = (key: string): number[] => {
		const id = ids.get(namedToken(config?.[key]) ?? "");
		return id === undefined ? [] : [id];
	};
	const bos = [...idOfName("bos_token"), ...idList(model?.["bos_token_id"])];
	const ends = idList(generation?.["eos_token_id"] ?? model?.["eos_token_id"]);
	return createNativeTokenizer(document, {
		path,
		format: "tokenizer.json",
		bosTokenId: bos[0] ?? null,
		eosTokenIds: [...new Set([...idOfName("eos_token"), ...ends])],
	});
}

async function loadGguf(path: string): Promise<Tokenizer> {
	const checkpoint = await openCheckpoint(path);
	const metadata = new GgufMetadata(checkpoint.path, checkpoint.metadata);
	if (checkpoint.format !== "gguf") metadata.fail("the folder has no tokenizer.json");
	const { document, bosTokenId, eosTokenIds } = ggufTokenizer(metadata);
	const parsed = parseTokenizerDocument(document, checkpoint.path);
	return createNativeTokenizer(parsed, { path, format: "gguf", bosTokenId, eosTokenIds });
}

/** One id, several, or none, as the configuration files have it. */
function idList(value: unknown): number[] {
	return (Array.isArray(value) ? value : [value]).filter((id) => Number.isInteger(id));
}
