// SPDX-License-Identifier: Apache-2.0
import { CompiledGrammar } from "../compiled-grammar.js";
import { type Guide, guideGrammar } from "../guide.js";
import { TokenTrie } from "../token-trie.js";
import { createVocabulary, type Vocabulary } from "../vocabulary.js";

/** Every byte, and pieces as a tokenizer has them: several characters, parts of characters, across the parts of JSON. */
const PIECES = [
	...Array.from({ length: 256 }, (_, byte) => Buffer.of(byte)),
	...'{" |"} |": |", "|": "|"]|},|[{"|":{|null|true|false|abc| the|ing|\n  |\t\t|        |00|123|19|-1|.5|é|日本|😀|\\"|\\n|\\u00|http|://|zz|foo|bar'
		.split("|")
		.map((piece) => Buffer.from(piece)),
	Buffer.from("日").subarray(0, 2),
	Buffer.from("😀").subarray(1),
	Buffer.alloc(0), // a control token
];
export const VOCABULARY: Vocabulary = createVocabulary(PIECES.length, (id) => PIECES[id]!);
const TRIE = new TokenTrie(VOCABULARY);

export function compile(guide: Guide): CompiledGrammar {
	return new CompiledGrammar(guideGrammar(guide), VOCABULARY, TRIE);
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Writes a text token by token, at random, with a wish to come to an end after `patience` tokens. */
export function writeText(grammar: CompiledGrammar, random: () => number, patience = 30): string {
	const text = grammar.begin();
	const written: Buffer[] = [];
	try {
		for (let count = 0; count < 5_000; count++) {
			const { mask, mayEnd } = grammar.next(text);
			if (!mask || (mayEnd && random() < 0.3)) return Buffer.concat(written).toString();
			const allowed = PIECES.flatMap((_, id) => ((mask[id >>> 5]! >>> (id & 31)) & 1 ? [id] : []));
			const closing = allowed.filter((id) => /^["\]}]+$/.test(PIECES[id]!.toString()));
			const from = count > patience && closing.length > 0 ? closing : allowed;
			const id = from[Math.floor(random() * from.length)]!;
			written.push(PIECES[id]!);
			grammar.accept(text, id);
		}
		throw new Error(`no end after ${Buffer.concat(written).toString().slice(0, 300)}`);
	} finally {
		grammar.end(text);
	}
}

/** Whether a grammar takes exactly this text, spelled in bytes. */
export function takes(grammar: CompiledGrammar, said: string): boolean {
	const text = grammar.begin();
	try {
		for (const byte of Buffer.from(said)) {
			const { mask } = grammar.next(text);
			if (!mask || !((mask[byte >>> 5]! >>> (byte & 31)) & 1)) return false;
			grammar.accept(text, byte);
		}
		return grammar.next(text).mayEnd;
	} finally {
		grammar.end(text);
	}
}
