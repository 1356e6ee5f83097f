// SPDX-License-Identifier: Apache-2.0
import type { CodeRange } from "./expression.js";

/** One way to spell a character: a range per byte. */
export type ByteSequence = readonly (readonly [number, number])[];

/** Last code point of each UTF-8 length. */
const LENGTH_LIMITS = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** UTF-8 spellings of the code points of a range, surrogates left out (RFC 3629). */
export function utf8Sequences([low, high]: CodeRange): ByteSequence[] {
	const sequences: ByteSequence[] = [];
	let first = low;
	for (const [index, limit] of LENGTH_LIMITS.entries()) {
		if (first > high) break;
		if (first > limit) continue;
		const last = Math.min(high, limit);
		if (index === 2) {
			if (first < 0xd800) split(first, Math.min(last, 0xd7ff), 3, sequences);
			if (last > 0xdfff) split(Math.max(first, 0xe000), last, 3, sequences);
		} else {
			split(first, last, index + 1, sequences);
		}
		first = last + 1;
	}
	return sequences;
}

/** Splits until all bytes but the first differing one run over their whole range. */
function split(low: number, high: number, length: number, into: ByteSequence[]): void {
	if (length === 1) {
		into.push([[low, high]]);
		return;
	}
	for (let tail = length - 1; tail >= 1; tail--) {
		const block = 2 ** (6 * tail) - 1; // what `tail` continuation bytes can count
		if (Math.floor(low / (block + 1)) === Math.floor(high / (block + 1))) continue;
		if (low % (block + 1) !== 0) {
			const end = low - (low % (block + 1)) + block;
			split(low, end, length, into);
			split(end + 1, high, length, into);
			return;
		}
		if (high % (block + 1) !== block) {
			const begin = high - (high % (block + 1));
			split(low, begin - 1, length, into);
			split(begin, high, length, into);
			return;
		}
	}
	const from = encode(low, length);
	const to = encode(high, length);
	into.push(from.map((byte, index) => [byte, to[index]!] as const));
}

function encode(code: number, length: number): number[] {
	const bytes: number[] = [];
	let rest = code;
	for (let i = 1; i < length; i++) {
		bytes.unshift(0x80 | (rest & 0x3f));
		rest = Math.floor(rest / 64);
	}
	return [[0, 0, 0xc0, 0xe0, 0xf0][length]! | rest, ...bytes];
}
