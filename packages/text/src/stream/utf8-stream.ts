// SPDX-License-Identifier: Apache-2.0

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/**
 * UTF-8 that arrives in pieces. Holds back a sequence that a later byte could still complete, so the pieces' texts
 * together are the text of all bytes at once; what is no UTF-8 becomes U+FFFD as the WHATWG decoder has it.
 */
export class Utf8Stream {
	#held: Uint8Array = EMPTY;

	/** Whether bytes are being held back. */
	get pending(): boolean {
		return this.#held.length > 0;
	}

	push(bytes: Uint8Array): string {
		let all = bytes;
		if (this.#held.length > 0) {
			all = new Uint8Array(this.#held.length + bytes.length);
			all.set(this.#held);
			all.set(bytes, this.#held.length);
		}
		const complete = all.length - incompleteTail(all);
		this.#held = complete === all.length ? EMPTY : all.slice(complete);
		return complete === 0 ? "" : decoder.decode(all.subarray(0, complete));
	}

	/** The text of what was held back: one U+FFFD or nothing. */
	finish(): string {
		const text = decoder.decode(this.#held);
		this.#held = EMPTY;
		return text;
	}
}

/** How many of the last bytes (0 to 3) begin a well-formed sequence without completing it (Unicode 15, table 3-7). */
export function incompleteTail(bytes: Uint8Array): number {
	const size = bytes.length;
	for (let back = 1; back <= 3 && back <= size; back++) {
		const lead = bytes[size - back]!;
		if (lead >= 0x80 && lead < 0xc0) continue;
		const needed =
			lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
		if (back >= needed) return 0;
		return back === 1 || secondFits(lead, bytes[size - back + 1]!) ? back : 0;
	}
	return 0;
}

/** Excludes overlong forms, surrogates and code points above U+10FFFF. */
function secondFits(lead: number, second: number): boolean {
	if (lead === 0xe0) return second >= 0xa0;
	if (lead === 0xed) return second < 0xa0;
	if (lead === 0xf0) return second >= 0x90;
	if (lead === 0xf4) return second < 0x90;
	return true;
}
