// SPDX-License-Identifier: Apache-2.0
import type { JsonObject, JsonReader } from "./json-reader.js";

/** The checked `model` section of a `tokenizer.json`. */
export interface TokenizerModel {
	readonly type: "BPE" | "Unigram" | "WordLevel";
	/** Token as spelled in the vocabulary → id. */
	readonly vocab: ReadonlyMap<string, number>;
	/** BPE only, best first: [left, right]. */
	readonly merges: ReadonlyArray<readonly [string, string]>;
	/** Unigram only: log probability by id. */
	readonly scores: readonly number[];
	readonly unknownToken: string | null;
	/** The remaining settings, as the native tokenizer takes them. */
	readonly settings: JsonObject;
}

export function parseModel(read: JsonReader, value: unknown): TokenizerModel {
	const model = read.object(value, "model");
	// Old files leave the type out; BPE is the one with merges.
	const type = read.oneOf(model["type"] ?? ("merges" in model ? "BPE" : undefined), "model.type", [
		"BPE",
		"Unigram",
		"WordLevel",
	]);
	if (type === "BPE") return parseBpe(read, model);
	if (type === "Unigram") return parseUnigram(read, model);
	const vocab = parseVocab(read, model["vocab"]);
	const unknownToken = parseUnknownToken(read, model["unk_token"], vocab);
	if (unknownToken === null) read.fail("model.unk_token is missing");
	return { type, vocab, merges: [], scores: [], unknownToken, settings: {} };
}

function parseBpe(read: JsonReader, model: JsonObject): TokenizerModel {
	const vocab = parseVocab(read, model["vocab"]);
	if (model["continuing_subword_prefix"])
		read.fail("model.continuing_subword_prefix is not supported; only BPE without a subword prefix is");
	const suffix = model["end_of_word_suffix"] ?? null;
	if (suffix !== null) read.string(suffix, "model.end_of_word_suffix");
	const merges = read.array(model["merges"], "model.merges").map((entry, index) => {
		const merge = parseMerge(read, entry, index);
		const [left, right] = merge;
		if (!vocab.has(left) || !vocab.has(right) || !vocab.has(left + right)) {
			const unknown = [left, right, left + right].find((token) => !vocab.has(token));
			read.fail(`model.merges[${index}] needs the token ${JSON.stringify(unknown)}, not in the vocabulary`);
		}
		return merge;
	});
	return {
		type: "BPE",
		vocab,
		merges,
		scores: [],
		unknownToken: parseUnknownToken(read, model["unk_token"], vocab),
		settings: {
			dropout: null,
			continuing_subword_prefix: null,
			end_of_word_suffix: suffix,
			fuse_unk: read.boolean(model["fuse_unk"], "model.fuse_unk", false),
			byte_fallback: read.boolean(model["byte_fallback"], "model.byte_fallback", false),
			ignore_merges: read.boolean(model["ignore_merges"], "model.ignore_merges", false),
		},
	};
}

/** Either `["a", "b"]` or, in older files, `"a b"`. */
function parseMerge(read: JsonReader, entry: unknown, index: number): readonly [string, string] {
	const parts = typeof entry === "string" ? entry.split(" ") : read.array(entry, `model.merges[${index}]`);
	const [left, right] = parts;
	if (parts.length !== 2 || typeof left !== "string" || typeof right !== "string" || !left || !right)
		read.fail(`model.merges[${index}] must be a pair of tokens`);
	return [left, right];
}

function parseUnigram(read: JsonReader, model: JsonObject): TokenizerModel {
	const vocab = new Map<string, number>();
	const scores: number[] = [];
	for (const [id, entry] of read.array(model["vocab"], "model.vocab").entries()) {
		const where = `model.vocab[${id}]`;
		const [token, score] = read.array(entry, where);
		if (typeof score !== "number" || !Number.isFinite(score)) read.fail(`${where} needs a finite score`);
		const text = read.string(token, where);
		if (text === "" || vocab.has(text)) read.fail(`${where} is empty or repeated`);
		vocab.set(text, id);
		scores.push(score);
	}
	if (vocab.size === 0) read.fail("model.vocab is empty");
	// Without an unknown token the native encoder has no answer to a character outside the vocabulary.
	const unknown = read.tokenId(model["unk_id"], "model.unk_id");
	if (unknown >= scores.length) read.fail("model.unk_id is outside the vocabulary");
	const byteFallback = read.boolean(model["byte_fallback"], "model.byte_fallback", false);
	return {
		type: "Unigram",
		vocab,
		merges: [],
		scores,
		unknownToken: null,
		settings: { unk_id: unknown, byte_fallback: byteFallback },
	};
}

function parseVocab(read: JsonReader, value: unknown): Map<string, number> {
	const vocab = new Map<string, number>();
	const ids = new Set<number>();
	const object = read.object(value, "model.vocab");
	for (const token of Object.keys(object)) {
		const id = read.tokenId(object[token], () => `model.vocab[${JSON.stringify(token)}]`);
		if (ids.has(id)) read.fail(`two tokens of model.vocab have the id ${id}`);
		ids.add(id);
		vocab.set(token, id);
	}
	return vocab;
}

function parseUnknownToken(
	read: JsonReader,
	value: unknown,
	vocab: ReadonlyMap<string, number>,
): string | null {
	if (value === undefined || value === null) return null;
	const token = read.string(value, "model.unk_token");
	if (!vocab.has(token)) read.fail(`model.unk_token ${JSON.stringify(token)} is not in the vocabulary`);
	return token;
}
