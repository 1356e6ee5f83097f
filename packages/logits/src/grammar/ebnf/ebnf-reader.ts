// SPDX-License-Identifier: Apache-2.0
import type { CodeRange } from "../expression.js";
import { GrammarError } from "../grammar-error.js";

const NAME = /[A-Za-z_][A-Za-z0-9_.-]*/y;
const SPACE = /(?:\s|#[^\n]*)+/y;
const RULE = /[A-Za-z_][A-Za-z0-9_.-]*(?:\s|#[^\n]*)*::=/y;
const COUNTS = /\{\s*(\d{1,9})\s*(,\s*(\d{0,9})\s*)?\}/y;
const ESCAPE =
	/\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8})|([^xuU]))/uy;
const ESCAPES: Readonly<Record<string, string>> = {
	n: "\n",
	r: "\r",
	t: "\t",
	f: "\f",
	v: "\v",
	b: "\b",
	a: "\x07",
	"0": "\0",
};

/** Reads the tokens of a grammar. */
export class EbnfReader {
	readonly #source: string;
	#at = 0;

	constructor(source: string) {
		this.#source = source;
	}

	get done(): boolean {
		return this.#at >= this.#source.length;
	}

	/** The next UTF-16 code unit; "" at the end. */
	peek(): string {
		return this.#source.charAt(this.#at);
	}

	take(what: string): boolean {
		if (!this.#source.startsWith(what, this.#at)) return false;
		this.#at += what.length;
		return true;
	}

	/** Passes over white space and comments. */
	space(): void {
		this.#match(SPACE);
	}

	name(): string | null {
		return this.#match(NAME)?.[0] ?? null;
	}

	/** Whether another rule begins here. */
	beginsRule(): boolean {
		RULE.lastIndex = this.#at;
		return RULE.test(this.#source);
	}

	counts(): readonly [number, number] | null {
		const found = this.#match(COUNTS);
		if (!found) return null;
		const min = Number(found[1]);
		if (found[2] === undefined) return [min, min];
		return [min, found[3] ? Number(found[3]) : Number.POSITIVE_INFINITY];
	}

	/** A text in double quotes. */
	literal(): string {
		this.#at++;
		let value = "";
		while (!this.take('"')) {
			if (this.done || this.peek() === "\n") this.fail("a text in quotes does not end");
			value += this.#character();
		}
		return value;
	}

	/** A class in brackets. */
	class(): { readonly ranges: readonly CodeRange[]; readonly negated: boolean } {
		this.#at++;
		const negated = this.take("^");
		const ranges: CodeRange[] = [];
		while (!this.take("]")) {
			if (this.done) this.fail('a "[" is not closed');
			const low = this.#character().codePointAt(0)!;
			const isRange = this.peek() === "-" && this.#source.charAt(this.#at + 1) !== "]";
			if (isRange) this.#at++;
			if (isRange && this.done) this.fail('a "[" is not closed');
			const high = isRange ? this.#character().codePointAt(0)! : low;
			if (high < low) this.fail("a range of a class is upside down");
			ranges.push([low, high]);
		}
		return { ranges, negated };
	}

	/** @throws GrammarError saying where. */
	fail(problem: string): never {
		const before = this.#source.slice(0, this.#at).split("\n");
		throw new GrammarError(
			`line ${before.length}, column ${before.at(-1)!.length + 1} of the grammar: ${problem}`,
		);
	}

	#character(): string {
		if (this.peek() !== "\\") {
			const char = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
			this.#at += char.length;
			return char;
		}
		const [, ...ways] = this.#match(ESCAPE) ?? this.fail("an escape is malformed");
		const plain = ways.pop();
		if (plain !== undefined) return ESCAPES[plain] ?? plain;
		const code = Number.parseInt(ways.find((way) => way !== undefined)!, 16);
		return code <= 0x10ffff ? String.fromCodePoint(code) : this.fail("an escape is no code point");
	}

	#match(expression: RegExp): RegExpExecArray | null {
		expression.lastIndex = this.#at;
		const found = expression.exec(this.#source);
		if (found) this.#at += found[0].length;
		return found;
	}
}
