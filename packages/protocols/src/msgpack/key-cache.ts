// SPDX-License-Identifier: Apache-2.0

const SLOTS = 512;

/** One key per slot, with its bytes; the newest stays, so nobody can fill it up. */
const texts: string[] = new Array<string>(SLOTS).fill("");
const codes: Uint8Array[] = new Array<Uint8Array>(SLOTS).fill(new Uint8Array(0));

/**
 * The text of a map's key. Messages of one kind repeat the same few keys: looking them up is several times faster than
 * decoding them, and the engine knows the strings already.
 * @param count a few bytes only: they are kept
 */
export function cachedKey(bytes: Buffer, start: number, count: number): string {
	let hash = count;
	for (let i = start; i < start + count; i++) hash = (hash * 31 + bytes[i]!) | 0;
	const slot = hash & (SLOTS - 1);
	const known = codes[slot]!;
	let same = known.length === count;
	for (let i = 0; same && i < count; i++) same = known[i] === bytes[start + i];
	if (same) return texts[slot]!;
	codes[slot] = Uint8Array.prototype.slice.call(bytes, start, start + count);
	texts[slot] = bytes.toString("utf8", start, start + count);
	return texts[slot];
}
