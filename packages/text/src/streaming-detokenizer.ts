// SPDX-License-Identifier: Apache-2.0
import type { Tokenizer } from "./tokenizer.js";

export interface DetokenizerOptions {
	/** Leave special tokens out. Default true. */
	readonly skipSpecialTokens?: boolean;
}

/**
 * Token ids to text, as they come. Bytes of a character that is not complete yet are kept back; bytes that can never
 * become one turn into U+FFFD, exactly as if everything had been decoded at once.
 */
export class StreamingDetokenizer {
	readonly #tokenizer: Tokenizer;
	readonly #skipSpecial: boolean;
	readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
	#stripSpace: boolean;

	constructor(tokenizer: Tokenizer, { skipSpecialTokens = true }: DetokenizerOptions = {}) {
		this.#tokenizer = tokenizer;
		this.#skipSpecial = skipSpecialTokens;
		this.#stripSpace = tokenizer.stripsLeadingSpace;
	}

	/** Text that these ids complete; often "". */
	push(ids: Iterable<number>): string {
		let text = "";
		for (const id of ids) {
			if (this.#skipSpecial && this.#tokenizer.isSpecial(id)) continue;
			text += this.#decoder.decode(this.#tokenizer.tokenBytes(id), { stream: true });
		}
		return this.#strip(text);
	}

	/** What is left when no more ids come. */
	finish(): string {
		return this.#strip(this.#decoder.decode());
	}

	#strip(text: string): string {
		if (!this.#stripSpace || text === "") return text;
		this.#stripSpace = false;
		return text.startsWith(" ") ? text.slice(1) : text;
	}
}
