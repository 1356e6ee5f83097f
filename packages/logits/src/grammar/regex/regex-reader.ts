// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "../grammar-error.js";

/** Reads a pattern, one character (code point) at a time. */
export class RegexReader {
	readonly #pattern: string;
	#at = 0;

	constructor(pattern: string) {
		this.#pattern = pattern;
	}

	get done(): boolean {
		return this.#at >= this.#pattern.length;
	}

	/** The next character; "" at the end. */
	peek(): string {
		const code = this.#pattern.codePointAt(this.#at);
		return code === undefined ? "" : String.fromCodePoint(code);
	}

	/** Takes the next character; "" at the end. */
	next(): string {
		const next = this.peek();
		this.#at += next.length;
		return next;
	}

	/** Takes `text` if it comes next. */
	take(text: string): boolean {
		if (!this.#pattern.startsWith(text, this.#at)) return false;
		this.#at += text.length;
		return true;
	}

	/** Takes what an expression of ours, anchored with ^, finds here. */
	match(expression: RegExp): RegExpExecArray | null {
		const found = expression.exec(this.#pattern.slice(this.#at, this.#at + 64));
		if (found) this.#at += found[0].length;
		return found;
	}

	/** @throws GrammarError saying where. */
	fail(problem: string): never {
		throw new GrammarError(
			`the regular expression ${quote(this.#pattern)} cannot be used: ${problem} (before character ${this.#at + 1})`,
		);
	}
}

function quote(pattern: string): string {
	return JSON.stringify(pattern.length > 200 ? `${pattern.slice(0, 200)}…` : pattern);
}
