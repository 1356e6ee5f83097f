// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { ObjectReader } from "./object-reader.js";

/** Each is compared with the end of the text for every token. */
const MAX_WORDS = 1024;
/** Characters, or tokens. */
const MAX_LENGTH = 256;

/**
 * `bad_words`: texts or sequences of token ids that the answer must not contain, and Dynamo's `bad_words_token_ids`, which
 * holds the latter only.
 */
export function readBadWords(reader: ObjectReader): readonly (string | readonly number[])[] {
	const words = reader.array("bad_words") ?? [];
	const sequences = reader.array("bad_words_token_ids") ?? [];
	for (const word of words)
		if (typeof word !== "string" && !isSequence(word))
			throw wrong(reader, "bad_words", "must be an array of texts or arrays of token ids");
	for (const sequence of sequences)
		if (!isSequence(sequence))
			throw wrong(reader, "bad_words_token_ids", "must be an array of arrays of token ids");
	const all = [...words, ...sequences] as (string | readonly number[])[];
	const field = words.length > 0 ? "bad_words" : "bad_words_token_ids";
	if (all.length > MAX_WORDS)
		throw wrong(reader, field, `may hold at most ${MAX_WORDS} words, got ${all.length}`);
	for (const { length } of all) {
		if (length === 0) throw wrong(reader, field, "has an empty word, which every answer contains; remove it");
		if (length > MAX_LENGTH)
			throw wrong(reader, field, `has a word of ${length} characters or tokens; the limit is ${MAX_LENGTH}`);
	}
	return all;
}

function isSequence(value: unknown): value is readonly number[] {
	return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
}

function wrong(reader: ObjectReader, field: string, what: string): Error {
	return invalidArgument(reader.path(field), `${field} ${what}`);
}
