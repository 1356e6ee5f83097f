// SPDX-License-Identifier: Apache-2.0
import type { Sequence } from "../scheduler/sequence.js";
import type { Drafter, GuessRequest } from "./drafter.js";

/** One equal token is no sign that the text repeats itself. */
const SHORTEST_MATCH = 2;
/** More equal tokens would not make the guess better. */
const LONGEST_MATCH = 16;

/** Where the last tokens of a text stood before. */
export interface Match {
	/** How many of them, up to the longest that is looked for. */
	readonly length: number;
	/** Position behind them there. */
	readonly from: number;
	/** Length of the text. */
	readonly end: number;
}

/**
 * Guesses that a text goes on as it did the last time that it said the same: right where an answer quotes its prompt or
 * itself. Prompt lookup decoding; TensorRT-LLM calls it NGram.
 */
export class PromptLookup implements Drafter {
	readonly isFree = true;
	readonly #matches = new WeakMap<Sequence, Match>();

	/**
	 * The longer the match, the rarer wrong guesses, and each that comes true makes it longer. So it was counted in stories
	 * and copies by SmolLM2-135M: 0.56 and 0.39 wrong after two equal tokens, 0.35 and 0.06 after four, 0.01 after sixteen.
	 */
	doubts(sequence: Sequence, limit: number): number[] {
		const match = findMatch(sequence.tokens.view());
		if (!match) {
			this.#matches.delete(sequence);
			return [];
		}
		this.#matches.set(sequence, match);
		const doubts: number[] = [];
		for (let i = 0; i < limit; i++) doubts.push(1.5 / (match.length + i));
		return doubts;
	}

	guessMs(): number {
		return 0;
	}

	propose(requests: readonly GuessRequest[]): Uint32Array[] {
		return requests.map(({ sequence, limit }) => {
			const match = this.#matches.get(sequence);
			return match ? continuation(sequence.tokens.view(), match, limit) : new Uint32Array(0);
		});
	}

	forget(sequence: Sequence): void {
		this.#matches.delete(sequence);
	}

	async close(): Promise<void> {}
}

/** The longest earlier occurrence of the last tokens; the latest one, if there are several. */
export function findMatch(tokens: Uint32Array): Match | null {
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
	return from === -1 ? null : { length: longest, from, end: tokens.length };
}

/** `limit` tokens that followed a match. Where it reaches the end of the text, the text is taken to repeat itself on and on. */
export function continuation(tokens: Uint32Array, { from, end }: Match, limit: number): Uint32Array {
	const period = end - from;
	const guesses = new Uint32Array(limit);
	for (let i = 0; i < limit; i++) guesses[i] = tokens[from + (i % period)]!;
	return guesses;
}
