// SPDX-License-Identifier: Apache-2.0
import { characters, choice, EMPTY, type Expression, invertRanges, rule, sequence } from "../expression.js";

/**
 * Text that is free until one of some words comes up; then what that word demands must follow.
 * The states are those of a search for several words at once (Aho and Corasick): how much of which word the text ends with.
 * @param words none the beginning of another
 * @param after what must follow a word, the word itself left out; `free` is the rule of free text that begins anew
 * @param mayEnd whether the text may end without a word
 */
export function freeText(
	name: string,
	words: readonly string[],
	after: (word: string, free: Expression) => Expression,
	mayEnd: boolean,
	define: (name: string, expression: Expression) => void,
): Expression {
	const beginnings = new Set([""]);
	for (const word of words)
		for (const [index] of [...word].entries()) beginnings.add([...word].slice(0, index).join(""));
	const nameOf = (beginning: string) => rule(`${name}:${beginning}`);
	/** The longest beginning of a word that `read` ends with, or the word that it ends with. */
	const longest = (read: string): string => {
		const chars = [...read];
		for (let from = 0; ; from++) {
			const end = chars.slice(from).join("");
			if (beginnings.has(end) || words.includes(end)) return end;
		}
	};
	const alphabet = [...new Set(words.flatMap((word) => [...word]))];
	const elsewhere = characters(
		invertRanges(alphabet.map((char) => [char.codePointAt(0)!, char.codePointAt(0)!] as const)),
	);
	for (const beginning of beginnings) {
		const ways = alphabet.map((char) => {
			const read = longest(beginning + char);
			const code = char.codePointAt(0)!;
			const then = words.includes(read) ? after(read, nameOf("")) : nameOf(read);
			return sequence(characters([[code, code]]), then);
		});
		ways.push(sequence(elsewhere, nameOf("")));
		define(`${name}:${beginning}`, choice(...(mayEnd ? [EMPTY] : []), ...ways));
	}
	return nameOf("");
}
