// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { join } from "node:path";
import { GgufMetadata, ggufTokenizer, openCheckpoint } from "@dyn/models";
import { namedToken } from "../named-token.js";
import { readJsonFile } from "../read-json-file.js";
import { createNativeTokenizer } from "./native-tokenizer.js";
import { type TokenizerSource, TokenTable } from "./token-table.js";
import type { Tokenizer, TokenTexts } from "./tokenizer.js";
import { parseTokenizerDocument, type TokenizerDocument } from "./tokenizer-document.js";

/**
 * Loads the tokenizer of a model: a folder with `tokenizer.json`, or a GGUF file (or a folder with one), whose
 * vocabulary is turned into the same document.
 * @throws DynError NOT_FOUND when there is nothing at `path`, MODEL_FORMAT when it cannot be read or is of a kind
 * that is not supported.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
	const { document, source } = await read(path);
	return createNativeTokenizer(document, source);
}

/**
 * What the tokens of a model stand for, for those who have no text to tokenize: spares them the native tokenizer.
 * @throws DynError as `loadTokenizer` does
 */
export async function loadTokenTexts(path: string): Promise<TokenTexts> {
	const { document, source } = await read(path);
	return new TokenTable(document, source);
}

interface Found {
	readonly document: TokenizerDocument;
	readonly source: TokenizerSource;
}

async function read(path: string): Promise<Found> {
	const file = join(path, "tokenizer.json");
	return existsSync(file) ? readFolder(path, file) : readGguf(path);
}

async function readFolder(path: string, file: string): Promise<Found> {
	const document = parseTokenizerDocument(await readJsonFile(file), file);
	const [config, generation, model] = await Promise.all(
		["tokenizer_config.json", "generation_config.json", "config.json"].map(async (name) => {
			const value = existsSync(join(path, name)) ? await readJsonFile(join(path, name)) : {};
			return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
		}),
	);
	const idOfName = (key: string): number[] => {
		const name = namedToken(config?.[key]) ?? "";
		const id =
			document.addedTokens.find(({ content }) => content === name)?.id ?? document.model.vocab.get(name);
		return id === undefined ? [] : [id];
	};
	const bos = [...idOfName("bos_token"), ...idList(model?.["bos_token_id"])];
	const ends = idList(generation?.["eos_token_id"] ?? model?.["eos_token_id"]);
	return {
		document,
		source: {
			path,
			format: "tokenizer.json",
			bosTokenId: bos[0] ?? null,
			eosTokenIds: [...new Set([...idOfName("eos_token"), ...ends])],
		},
	};
}

async function readGguf(path: string): Promise<Found> {
	const checkpoint = await openCheckpoint(path);
	const metadata = new GgufMetadata(checkpoint.path, checkpoint.metadata);
	if (checkpoint.format !== "gguf") metadata.fail("the folder has no tokenizer.json");
	const { document, bosTokenId, eosTokenIds } = ggufTokenizer(metadata);
	return {
		document: parseTokenizerDocument(document, checkpoint.path),
		source: { path, format: "gguf", bosTokenId, eosTokenIds },
	};
}

/** One id, several, or none, as the configuration files have it. */
function idList(value: unknown): number[] {
	return (Array.isArray(value) ? value : [value]).filter((id) => Number.isInteger(id));
}
