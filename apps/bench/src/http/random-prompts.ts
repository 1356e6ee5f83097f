// SPDX-License-Identifier: Apache-2.0
import type { Tokenizer } from "@dyn/text";
import { randomNumbers } from "../endurance/random.js";

/** Texts of exactly `tokens` tokens, no two alike from the second word on: what one request computed helps no other. */
export class RandomPrompts {
	readonly #words: readonly string[];
	readonly #tokens: number;
	readonly #random = randomNumbers(Date.now());

	/**
	 * Of words that are a token each, whatever is beside them, because a space comes before them.
	 * @throws Error when the tokenizer has no such words, or makes something else of a prompt of them
	 */
	static async create(tokenizer: Tokenizer, tokens: number): Promise<RandomPrompts> {
		const texts = Array.from({ length: tokenizer.vocabSize }, (_, id) =>
			tokenizer.decode([id], { continuation: true }),
		);
		const prompts = new RandomPrompts(
			texts.filter((text) => /^ [a-z]{3,10}$/.test(text)),
			tokens,
		);
		const made = await tokenizer.encode(prompts.next());
		if (made.length !== tokens) throw new Error(`a prompt of ${tokens} words has ${made.length} tokens`);
		return prompts;
	}

	private constructor(words: readonly string[], tokens: number) {
		this.#words = words;
		this.#tokens = tokens;
	}

	next(): string {
		const word = () => this.#words[Math.floor(this.#random() * this.#words.length)]!;
		return Array.from({ length: this.#tokens }, word).join("");
	}
}
