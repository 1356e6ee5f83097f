// SPDX-License-Identifier: Apache-2.0
import { parseDecoder, type TokenDecoder } from "./decoder.js";
import { type JsonObject, JsonReader } from "./json-reader.js";
import { parseModel, type TokenizerModel } from "./model.js";
import { parseNormalizer, parsePreTokenizer } from "./pipeline.js";
import { parsePostProcessor, type SurroundingIds } from "./post-processor.js";

/** A token outside the model's own segmentation: control tokens, and words added after training. */
export interface AddedToken {
	readonly id: number;
	readonly content: string;
	readonly special: boolean;
	readonly normalized: boolean;
	readonly lstrip: boolean;
	readonly rstrip: boolean;
	readonly singleWord: boolean;
}

/**
 * A checked `tokenizer.json` (format: Hugging Face `tokenizers`). Checked means: the native tokenizer will not
 * panic on it. A panic there ends the process, so everything it relies on is verified here first; truncation,
 * padding and BPE dropout are dropped, since a server must neither shorten a prompt nor encode it differently twice.
 */
export interface TokenizerDocument {
	readonly source: string;
	/** Ascending by id, contents distinct. */
	readonly addedTokens: readonly AddedToken[];
	readonly normalizer: JsonObject | null;
	readonly preTokenizer: JsonObject | null;
	readonly model: TokenizerModel;
	readonly decoder: TokenDecoder;
	/** What `addSpecialTokens` puts around a text. */
	readonly surrounding: SurroundingIds;
}

/** @throws DynError MODEL_FORMAT naming the field that is wrong or not supported. */
export function parseTokenizerDocument(value: unknown, source: string): TokenizerDocument {
	const read = new JsonReader(source);
	const root = read.object(value, "the document");
	const model = parseModel(read, root["model"]);
	return {
		source,
		addedTokens: parseAddedTokens(read, root["added_tokens"], model),
		normalizer: parseNormalizer(read, root["normalizer"]),
		preTokenizer: parsePreTokenizer(read, root["pre_tokenizer"]),
		model,
		decoder: parseDecoder(read, root["decoder"]),
		surrounding: parsePostProcessor(read, root["post_processor"]),
	};
}

function parseAddedTokens(read: JsonReader, value: unknown, model: TokenizerModel): AddedToken[] {
	const seen = new Set<string>();
	const tokens = read.array(value ?? [], "added_tokens").map((entry, index): AddedToken => {
		const where = `added_tokens[${index}]`;
		const token = read.object(entry, where);
		const content = read.string(token["content"], `${where}.content`);
		if (content === "" || seen.has(content)) read.fail(`${where}.content is empty or repeated`);
		seen.add(content);
		return {
			id: read.tokenId(token["id"], `${where}.id`),
			content,
			special: read.boolean(token["special"], `${where}.special`, false),
			normalized: read.boolean(token["normalized"], `${where}.normalized`, true),
			lstrip: read.boolean(token["lstrip"], `${where}.lstrip`, false),
			rstrip: read.boolean(token["rstrip"], `${where}.rstrip`, false),
			singleWord: read.boolean(token["single_word"], `${where}.single_word`, false),
		};
	});
	tokens.sort((a, b) => a.id - b.id);
	checkIds(read, tokens, model);
	return tokens;
}

/**
 * The native tokenizer ignores the ids written in the document: a content that the model's vocabulary has keeps its
 * id there, every other one gets the next free id. A document that says otherwise would be misread, so refuse it.
 */
function checkIds(read: JsonReader, tokens: readonly AddedToken[], model: TokenizerModel): void {
	let next = model.vocab.size;
	for (const { content, id } of tokens) {
		const expected = model.vocab.get(content) ?? next;
		if (id !== expected)
			read.fail(`added token ${JSON.stringify(content)} has id ${id}, but the vocabulary gives ${expected}`);
		if (id >= next) next = id + 1;
	}
}
