// SPDX-License-Identifier: Apache-2.0
import type { Drafter, GuessRequest } from "./drafter.js";

/** Fewer equal tokens are no sign that the text repeats itself. */
const SHORTEST_MATCH = 3;
/** More equal tokens would not make the guess better. */
const LONGEST_MATCH = 16;

/**
 * Guesses that a text goes on as it did the last time that it said the same: right where an answer quotes its prompt or
 * itself. Prompt lookup decoding; TensorRT-LLM calls it NGram.
 */
export class PromptLookup implements Drafter {
	readonly costRatio = 0;

	propose(requests: readonly GuessRequest[]): Uint32Array[] {
		return requests.map(({ sequence, limit }) => continuation(sequence.tokens.view(), limit));
	}

	forget(): void {}

	async close(): Promise<void> {}
}

/**
 * What followed the longest earlier occurrence of the last tokens (the latest one, if there are several), `limit` tokens
 * of it. Where it reaches the end of the text, the text is taken to repeat itself on and on.
 */
export function continuation(tokens: Uint32Array, limit: number): Uint32Array {
	const last = tokens.length - 1;
	let longest = SHORTEST_MATCH - 1;
	let from = -1;
	for (
		let end = tokens.lastIndexOf(tokens[last]!, last - 1);
		end >= longest && longest < LONGEST_MATCH;
		end = tokens.lastIndexOf(tokens[last]!, end - 1)
	) {
		let length = 1;
		while (length < LONGEST_MATCH && length <= end && tokens[end - length] === tokens[last - length])
			length++;
		if (length <= longest) continue;
		longest = length;
		from = end + 1;
	}
	if (from === -1) return new Uint32Array(0);
	const period = tokens.length - from;
	return Uint32Array.from({ length: limit }, (_, i) => tokens[from + (i % period)]!);
}
