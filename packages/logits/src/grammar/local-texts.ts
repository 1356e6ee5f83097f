// SPDX-License-Identifier: Apache-2.0
import type { NextTokens } from "./compiled-grammar.js";
import { GrammarHost } from "./grammar-host.js";
import type { GuidedText, GuidedTexts } from "./guided-text.js";
import type { Vocabulary } from "./vocabulary.js";

/** Guided texts on the calling thread: for tools and tests. A server wants them off its event loop: `createGrammarThread`. */
export function createLocalGrammars(vocabulary: Vocabulary): GuidedTexts {
	const host = new GrammarHost(vocabulary);
	let count = 0;
	return {
		async open(guide, tokens = []) {
			const id = count++;
			return new LocalText(host, id, host.open(id, guide, tokens));
		},
		async close() {},
	};
}

class LocalText implements GuidedText {
	readonly #host: GrammarHost;
	readonly #id: number;
	#next: NextTokens | null;
	#failure: { readonly error: unknown } | null = null;

	constructor(host: GrammarHost, id: number, next: NextTokens) {
		this.#host = host;
		this.#id = id;
		this.#next = next;
	}

	next(): NextTokens | null {
		if (this.#failure) throw this.#failure.error;
		return this.#next;
	}

	async ready(): Promise<void> {}

	accept(tokenId: number): void {
		try {
			this.#next = this.#host.advance(this.#id, tokenId);
		} catch (error) {
			this.#failure = { error };
		}
	}

	close(): void {
		this.#host.close(this.#id);
	}
}
