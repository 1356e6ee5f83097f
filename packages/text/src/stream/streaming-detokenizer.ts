// SPDX-License-Identifier: Apache-2.0
import type { DecodeOptions, TokenTexts } from "../tokenizer/tokenizer.js";
import { Utf8Stream } from "./utf8-stream.js";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Per tokenizer and id: the token's text, or null if it is not whole characters. Filled as tokens turn up. */
const wholeTexts = new WeakMap<TokenTexts, (string | null | undefined)[]>();

/**
 * Token ids to text, piece by piece. For every way of cutting the ids into pieces the texts add up to
 * `tokenizer.decode(ids)`; no piece ends inside a character.
 */
export class StreamingDetokenizer {
	readonly #tokenizer: TokenTexts;
	readonly #skipSpecial: boolean;
	readonly #texts: (string | null | undefined)[];
	readonly #utf8 = new Utf8Stream();
	/** Whether the model's leading space is still to be looked for. */
	#atStart: boolean;

	constructor(tokenizer: TokenTexts, options: DecodeOptions = {}) {
		this.#tokenizer = tokenizer;
		this.#skipSpecial = options.skipSpecialTokens ?? true;
		this.#atStart = !options.continuation && tokenizer.info.leadingSpace !== "keep";
		let texts = wholeTexts.get(tokenizer);
		if (!texts) {
			texts = [];
			wholeTexts.set(tokenizer, texts);
		}
		this.#texts = texts;
	}

	/** The text that `ids` complete; bytes of an unfinished character wait for the next push. */
	push(ids: ArrayLike<number>): string {
		let text = "";
		for (let i = 0; i < ids.length; i++) {
			const id = ids[i]!;
			if (this.#skipSpecial && this.#tokenizer.isSpecial(id)) continue;
			const whole = this.#utf8.pending || this.#atStart ? null : this.#wholeText(id);
			text += whole ?? this.#utf8.push(this.#bytes(id));
		}
		return text;
	}

	/** What is left: U+FFFD if the last character is incomplete, else nothing. */
	finish(): string {
		return this.#utf8.finish();
	}

	#wholeText(id: number): string | null {
		const known = this.#texts[id];
		if (known !== undefined) return known;
		let text: string | null = null;
		try {
			text = strict.decode(this.#tokenizer.tokenBytes(id));
		} catch {
			// Part of a character: the byte path handles it.
		}
		if (id < this.#tokenizer.vocabSize) this.#texts[id] = text;
		return text;
	}

	#bytes(id: number): Uint8Array {
		const bytes = this.#tokenizer.tokenBytes(id);
		if (!this.#atStart || bytes.length === 0) return bytes;
		this.#atStart = false;
		if (this.#tokenizer.info.leadingSpace === "strip-first-token")
			return bytes.filter((byte) => byte !== 0x20);
		return bytes[0] === 0x20 ? bytes.subarray(1) : bytes;
	}
}

/** The text of all `ids` at once. */
export function decodeTokens(tokenizer: TokenTexts, ids: ArrayLike<number>, options?: DecodeOptions): string {
	const stream = new StreamingDetokenizer(tokenizer, options);
	return stream.push(ids) + stream.finish();
}
