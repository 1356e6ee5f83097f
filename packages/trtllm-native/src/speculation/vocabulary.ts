// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { GgufMetadata, openCheckpoint } from "@dyn/models";

/** Ids behind the last token that fill a matrix up, as llama.cpp's converter names them. */
const PADDING = /^\[PAD\d+\]$/;

/**
 * Guesses are token ids, so both models must mean the same by them. Ids that only one of them names are padding.
 * @throws DynError INVALID_ARGUMENT naming the first id that they read differently
 */
export async function requireSameVocabulary(modelPath: string, draftPath: string): Promise<void> {
	const [model, draft] = [await readVocabulary(modelPath), await readVocabulary(draftPath)];
	if (!model || !draft) return; // no tokenizer, no text: ids are all there is
	for (const [id, token] of model) {
		const other = draft.get(id);
		if (other === undefined || other === token || PADDING.test(token) || PADDING.test(other)) continue;
		throw new DynError(
			"INVALID_ARGUMENT",
			`${draftPath} cannot guess for ${modelPath}: token ${id} is ${JSON.stringify(other)} there and ${JSON.stringify(token)} here; choose a draft model with the same tokenizer`,
			{ details: { param: "draftModelPath" } },
		);
	}
}

/** Tokens by id: those of GGUF metadata, or of `tokenizer.json`; null for a checkpoint that has neither. */
async function readVocabulary(path: string): Promise<ReadonlyMap<number, string> | null> {
	const checkpoint = await openCheckpoint(path);
	if (checkpoint.format === "gguf") {
		const metadata = new GgufMetadata(checkpoint.path, checkpoint.metadata);
		if (!metadata.has("tokenizer.ggml.tokens")) return null;
		return new Map(metadata.strings("tokenizer.ggml.tokens").entries());
	}
	const file = join(checkpoint.path, "tokenizer.json");
	let text: string;
	try {
		text = await readFile(file, "utf8");
	} catch {
		return null;
	}
	try {
		return tokensOf(JSON.parse(text));
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${file} is no tokenizer`, { cause: error });
	}
}

/** `model.vocab` (BPE, WordPiece: token to id; Unigram: a list of token and score) and `added_tokens` of Hugging Face. */
function tokensOf(document: {
	readonly model: {
		readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
	};
	readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
}): Map<number, string> {
	const { vocab } = document.model;
	const tokens = new Map<number, string>(
		Array.isArray(vocab)
			? vocab.map(([token]: readonly [string, number], id: number) => [id, token] as const)
			: Object.entries(vocab as Readonly<Record<string, number>>).map(([token, id]) => [id, token] as const),
	);
	for (const { id, content } of document.added_tokens ?? []) tokens.set(id, content);
	return tokens;
}
