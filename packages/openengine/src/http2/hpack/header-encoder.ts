// SPDX-License-Identifier: Apache-2.0
import { type Header, STATIC_TABLE } from "./static-table.js";

/** Where the whole header, or its name alone, stands in the static table. */
const INDEX_OF_HEADER: ReadonlyMap<string, number> = new Map(
	STATIC_TABLE.flatMap(([name, value], i) => (value ? [[`${name}: ${value}`, i + 1] as const] : [])),
);
const INDEX_OF_NAME: ReadonlyMap<string, number> = new Map(
	STATIC_TABLE.map(([name], i) => [name, i + 1] as const).reverse(),
);
const SIZE_UPDATE = 0x20;
const INDEXED = 0x80;

/**
 * A header block that uses no table but the static one (HPACK, RFC 7541).
 * @param headers of characters up to U+00FF
 * @param shrinksTable says first that the dynamic table has the size 0, as it must after the other side made it smaller
 */
export function encodeHeaders(headers: readonly Header[], shrinksTable: boolean): Buffer {
	const size = headers.reduce((sum, [name, value]) => sum + name.length + value.length + 16, 1);
	const block = Buffer.allocUnsafe(size);
	let at = 0;
	if (shrinksTable) block[at++] = SIZE_UPDATE;
	for (const [name, value] of headers) {
		const index = INDEX_OF_HEADER.get(`${name}: ${value}`);
		if (index !== undefined) {
			block[at++] = INDEXED | index;
			continue;
		}
		const nameIndex = INDEX_OF_NAME.get(name) ?? 0;
		at = putInteger(block, at, 4, nameIndex);
		if (nameIndex === 0) at = putString(block, at, name);
		at = putString(block, at, value);
	}
	return block.subarray(0, at);
}

function putString(block: Buffer, at: number, text: string): number {
	const start = putInteger(block, at, 7, text.length);
	return start + block.write(text, start, "latin1");
}

/** The bits before the prefix are 0. */
function putInteger(block: Buffer, at: number, prefixBits: number, value: number): number {
	const mask = 2 ** prefixBits - 1;
	if (value < mask) {
		block[at] = value;
		return at + 1;
	}
	block[at++] = mask;
	let rest = value - mask;
	for (; rest >= 128; rest >>>= 7) block[at++] = (rest & 127) | 128;
	block[at++] = rest;
	return at;
}
