// SPDX-License-Identifier: Apache-2.0
import { Automaton, DEAD } from "./automaton.js";
import type { Grammar } from "./expression.js";
import { GrammarError } from "./grammar-error.js";
import { buildNetwork } from "./network.js";
import type { TokenTrie } from "./token-trie.js";
import type { Vocabulary } from "./vocabulary.js";

/** What may follow. */
export interface NextTokens {
	/** Tokens of text, one bit each; null: none, the text has ended. Shared: not to be written. */
	readonly mask: Uint32Array | null;
	/** Whether the text may end here. */
	readonly mayEnd: boolean;
}

/** Masks kept, each of one bit per token. */
const MAX_MASKS = 128;

/** A grammar over the tokens of one vocabulary, with the state of every text that is being written. */
export class CompiledGrammar {
	readonly #automaton: Automaton;
	readonly #trie: TokenTrie;
	readonly #vocabulary: Vocabulary;
	/** By state, the one that was used longest ago first. */
	readonly #masks = new Map<number, NextTokens>();
	/** State of every open text. */
	readonly #texts = new Map<number, number>();
	#opened = 0;

	/** @throws GrammarError when the grammar cannot be used. */
	constructor(grammar: Grammar, vocabulary: Vocabulary, trie: TokenTrie) {
		this.#automaton = new Automaton(buildNetwork(grammar));
		this.#vocabulary = vocabulary;
		this.#trie = trie;
		this.#automaton.begin();
		if (this.#automaton.start() === DEAD) throw new GrammarError("no text at all satisfies it");
	}

	/** Number of open texts. */
	get open(): number {
		return this.#texts.size;
	}

	/** Begins a text. */
	begin(): number {
		const text = this.#opened++;
		this.#texts.set(text, this.#automaton.start());
		return text;
	}

	end(text: number): void {
		this.#texts.delete(text);
	}

	/** @throws GrammarError when the token may not follow; the text is then as before. */
	accept(text: number, tokenId: number): void {
		const { bytes, offsets } = this.#vocabulary;
		this.#automaton.begin();
		let state = this.#texts.get(text)!;
		const from = offsets[tokenId] ?? 0;
		const to = offsets[tokenId + 1] ?? 0;
		for (let at = from; at < to && state !== DEAD; at++) state = this.#automaton.step(state, bytes[at]!);
		if (from === to || state === DEAD)
			throw new GrammarError(`token ${tokenId} does not continue a text that satisfies it`);
		this.#texts.set(text, state);
	}

	/** @throws GrammarError when no token of the vocabulary leads on, or too many texts would have to be tried. */
	next(text: number): NextTokens {
		if (this.#automaton.full) this.#compact();
		const state = this.#texts.get(text)!;
		const known = this.#masks.get(state);
		if (known) this.#masks.delete(state);
		const next = known ?? this.#compute(state);
		this.#masks.set(state, next);
		if (this.#masks.size > MAX_MASKS) this.#masks.delete(this.#masks.keys().next().value!);
		return next;
	}

	#compute(state: number): NextTokens {
		this.#automaton.begin();
		const mayEnd = this.#automaton.accepting(state);
		const mask = this.#trie.mask(this.#automaton, state);
		if (!mask && !mayEnd)
			throw new GrammarError("the model's vocabulary has no token with which the text could go on");
		return { mask, mayEnd };
	}

	/** Forgets all states but those of open texts. */
	#compact(): void {
		const automaton = this.#automaton;
		const saved = Array.from(
			this.#texts,
			([text, state]) => [text, automaton.save(state), automaton.accepting(state)] as const,
		);
		automaton.clear();
		this.#masks.clear();
		for (const [text, snapshot, accepting] of saved)
			this.#texts.set(text, automaton.restore(snapshot, accepting));
	}
}
