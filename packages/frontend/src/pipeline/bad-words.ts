// SPDX-License-Identifier: Apache-2.0
import type { Tokenizer } from "@dyn/text";

/**
 * Token sequences that stand for words that an answer must not contain. A text stands for two: its tokens at the beginning of
 * a text, and those behind a space, where most vocabularies have another token for a word.
 */
export async function badWordTokens(
	tokenizer: Tokenizer,
	words: readonly (string | readonly number[])[],
): Promise<readonly (readonly number[])[]> {
	const sequences = await Promise.all(
		words.map(async (word) => {
			if (typeof word !== "string") return [word];
			const both = await Promise.all([tokenizer.encode(word), tokenizer.encode(` ${word}`)]);
			return both.map((ids) => [...ids]);
		}),
	);
	const distinct = new Map(sequences.flat().map((ids) => [ids.join(), ids]));
	return [...distinct.values()];
}
