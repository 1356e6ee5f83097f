// SPDX-License-Identifier: Apache-2.0
import { CompiledGrammar, type NextTokens } from "./compiled-grammar.js";
import { type Guide, guideGrammar } from "./guide.js";
import { TokenTrie } from "./token-trie.js";
import type { Vocabulary } from "./vocabulary.js";

/** Compiled grammars kept, each of at most about 15 MB. */
const MAX_GRAMMARS = 32;

interface OpenText {
	readonly grammar: CompiledGrammar;
	readonly text: number;
}

/** Grammars of one vocabulary and the texts that are being written under them, by numbers that the caller gives. */
export class GrammarHost {
	readonly #vocabulary: Vocabulary;
	readonly #trie: TokenTrie;
	/** By guide, the one that was asked for longest ago first. */
	readonly #grammars = new Map<string, CompiledGrammar>();
	readonly #texts = new Map<number, OpenText>();

	constructor(vocabulary: Vocabulary) {
		this.#vocabulary = vocabulary;
		this.#trie = new TokenTrie(vocabulary);
	}

	/**
	 * Begins a text with what was written of it before.
	 * @throws GrammarError when the guide cannot be honoured, or `tokens` break it.
	 */
	open(id: number, guide: Guide, tokens: ArrayLike<number>): NextTokens {
		const grammar = this.#grammar(guide);
		const text = grammar.begin();
		try {
			for (let index = 0; index < tokens.length; index++) grammar.accept(text, tokens[index]!);
			const next = grammar.next(text);
			this.#texts.set(id, { grammar, text });
			return next;
		} catch (error) {
			grammar.end(text);
			throw error;
		}
	}

	/** @throws GrammarError when the token may not follow. */
	advance(id: number, tokenId: number): NextTokens {
		const { grammar, text } = this.#texts.get(id)!;
		grammar.accept(text, tokenId);
		return grammar.next(text);
	}

	close(id: number): void {
		const open = this.#texts.get(id);
		open?.grammar.end(open.text);
		this.#texts.delete(id);
	}

	#grammar(guide: Guide): CompiledGrammar {
		const key = JSON.stringify(guide);
		const known = this.#grammars.get(key);
		if (known) this.#grammars.delete(key);
		const grammar = known ?? new CompiledGrammar(guideGrammar(guide), this.#vocabulary, this.#trie);
		this.#grammars.set(key, grammar);
		if (this.#grammars.size > MAX_GRAMMARS) this.#grammars.delete(this.#grammars.keys().next().value!);
		return grammar;
	}
}
