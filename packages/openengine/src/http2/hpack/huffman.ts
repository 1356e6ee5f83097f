// SPDX-License-Identifier: Apache-2.0
import { Http2Code, ProtocolError } from "../frames.js";

/** Bits of the code of every byte, and last of the end mark (RFC 7541, appendix B). */
const CODE_BITS: readonly number[] = [
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
	28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
	8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
	13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
	28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
	22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
	22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
	25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const END_MARK = 256;
const LONGEST = 30;

/**
 * The code is canonical: codes of the same length are successive numbers in the order of their symbols, and follow those
 * of the shorter ones. The code `c` of `n` bits stands for `SYMBOLS[c - FIRST_CODE[n] + FIRST_SYMBOL[n]]`.
 */
const SYMBOLS: readonly number[] = CODE_BITS.map((_, symbol) => symbol).sort(
	(a, b) => CODE_BITS[a]! - CODE_BITS[b]! || a - b,
);
const COUNT: readonly number[] = Array.from(
	{ length: LONGEST + 1 },
	(_, bits) => CODE_BITS.filter((each) => each === bits).length,
);
const FIRST_CODE: number[] = [0];
const FIRST_SYMBOL: number[] = [0];
for (let bits = 1; bits <= LONGEST; bits++) {
	FIRST_CODE.push((FIRST_CODE[bits - 1]! + COUNT[bits - 1]!) * 2);
	FIRST_SYMBOL.push(FIRST_SYMBOL[bits - 1]! + COUNT[bits - 1]!);
}

/** The text, one character per byte. @throws ProtocolError for bits that are no code */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string {
	const text: number[] = [];
	let code = 0;
	let bits = 0;
	for (let at = start; at < end; at++)
		for (let shift = 7; shift >= 0; shift--) {
			code = code * 2 + ((bytes[at]! >> shift) & 1);
			bits++;
			const offset = code - FIRST_CODE[bits]!;
			if (offset >= COUNT[bits]!) {
				if (bits === LONGEST) throw broken();
				continue;
			}
			const symbol = SYMBOLS[FIRST_SYMBOL[bits]! + offset]!;
			if (symbol === END_MARK) throw broken();
			text.push(symbol);
			code = 0;
			bits = 0;
		}
	// The last byte is filled with the beginning of the end mark: ones.
	if (bits > 7 || code !== 2 ** bits - 1) throw broken();
	return Buffer.from(text).toString("latin1");
}

function broken(): ProtocolError {
	return new ProtocolError(Http2Code.COMPRESSION_ERROR, "a header has a broken Huffman code");
}
