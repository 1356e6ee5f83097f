// SPDX-License-Identifier: Apache-2.0
import { TokenScanner } from "./token-scanner.js";
import type { AddedToken } from "./tokenizer-document.js";

/** What `\w` means to the native tokenizer. */
const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** Rewrites the texts of control tokens to their secret names. */
export class ControlTokenText {
	readonly #tokens: readonly AddedToken[];
	readonly #names: ReadonlyMap<string, string>;
	readonly #scanner: TokenScanner;
	/** The characters a control token can begin with. */
	readonly #starts: RegExp | null;

	constructor(addedTokens: readonly AddedToken[], names: ReadonlyMap<string, string>) {
		// Ordinary added tokens compete for the same text, except those that are matched after normalization.
		this.#tokens = addedTokens.filter((t) => t.special || !t.normalized);
		this.#names = names;
		this.#scanner = new TokenScanner(this.#tokens.map((t) => t.content));
		const units = [...new Set(this.#tokens.map((t) => t.content.charCodeAt(0)))];
		const escaped = units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`);
		this.#starts = escaped.length === 0 ? null : new RegExp(`[${escaped.join("")}]`, "g");
	}

	/** Leftmost, then longest match. `literalOffsets`: ascending offsets where no control token starts. */
	rename(text: string, literalOffsets: readonly number[]): string {
		if (!this.#starts) return text;
		let result = "";
		let copied = 0;
		let literal = 0;
		this.#starts.lastIndex = 0;
		for (let match = this.#starts.exec(text); match; match = this.#starts.exec(text)) {
			const at = match.index;
			while (literal < literalOffsets.length && literalOffsets[literal]! < at) literal++;
			if (literalOffsets[literal] === at) continue;
			const index = this.#scanner.longestAt(text, at);
			if (index === undefined) continue;
			const { content, singleWord } = this.#tokens[index]!;
			const end = at + content.length;
			this.#starts.lastIndex = end;
			const name = this.#names.get(content);
			if (name === undefined || (singleWord && touchesWord(text, at, end))) continue;
			result += text.slice(copied, at) + name;
			copied = end;
		}
		return copied === 0 ? text : result + text.slice(copied);
	}
}

function touchesWord(text: string, start: number, end: number): boolean {
	return (
		WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) || WORD_AFTER.test(text.slice(end, end + 2))
	);
}
