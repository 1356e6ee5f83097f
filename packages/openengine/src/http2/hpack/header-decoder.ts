// SPDX-License-Identifier: Apache-2.0
import { Http2Code, ProtocolError } from "../frames.js";
import { decodeHuffman } from "./huffman.js";
import { type Header, STATIC_TABLE } from "./static-table.js";

/** Largest dynamic table that the other side may use: what it is without any setting. */
const TABLE_BYTES = 4096;
/** Of a header list, decoded: a block of few bytes may name large entries of the table again and again. */
export const MAX_HEADER_LIST_BYTES: number = 2 ** 16;
/** Counted for each header beside its text (RFC 7541, 4.1). */
const ENTRY_BYTES = 32;

/** Reads header blocks of one connection (HPACK, RFC 7541), all of them in their order: they share a table. */
export class HeaderDecoder {
	/** The newest first. */
	readonly #table: Header[] = [];
	#tableBytes = 0;
	#tableLimit = TABLE_BYTES;
	#bytes: Buffer = Buffer.alloc(0);
	#at = 0;
	#end = 0;

	/** @throws ProtocolError for a block that is none, or whose headers are too many */
	decode(bytes: Buffer, start: number, end: number): Header[] {
		this.#bytes = bytes;
		this.#at = start;
		this.#end = end;
		const headers: Header[] = [];
		let listBytes = 0;
		while (this.#at < this.#end) {
			const header = this.#next(headers.length === 0);
			if (!header) continue;
			listBytes += sizeOf(header);
			if (listBytes > MAX_HEADER_LIST_BYTES)
				throw new ProtocolError(
					Http2Code.ENHANCE_YOUR_CALM,
					`headers of more than ${MAX_HEADER_LIST_BYTES} bytes`,
				);
			headers.push(header);
		}
		return headers;
	}

	/** Null for a change of the table's size. */
	#next(isFirst: boolean): Header | null {
		const byte = this.#bytes[this.#at]!;
		if (byte & 0x80) return this.#entry(this.#integer(7));
		if (byte & 0x40) {
			const header = this.#literal(6);
			this.#add(header);
			return header;
		}
		if ((byte & 0x20) === 0) return this.#literal(4);
		const limit = this.#integer(5);
		if (!isFirst || limit > TABLE_BYTES) throw broken(`a header table of ${limit} bytes`);
		this.#tableLimit = limit;
		this.#evict(0);
		return null;
	}

	#literal(prefixBits: number): Header {
		const index = this.#integer(prefixBits);
		const name = index === 0 ? this.#string() : this.#entry(index)[0];
		return [name, this.#string()];
	}

	#entry(index: number): Header {
		const entry =
			index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#table[index - STATIC_TABLE.length - 1];
		if (!entry) throw broken(`no header has the index ${index}`);
		return entry;
	}

	#add(header: Header): void {
		const bytes = sizeOf(header);
		this.#evict(bytes);
		if (bytes > this.#tableLimit) return; // it has emptied the table, and that is all
		this.#table.unshift(header);
		this.#tableBytes += bytes;
	}

	/** Makes room for `bytes`. */
	#evict(bytes: number): void {
		while (this.#table.length > 0 && this.#tableBytes + bytes > this.#tableLimit)
			this.#tableBytes -= sizeOf(this.#table.pop()!);
	}

	#integer(prefixBits: number): number {
		const mask = 2 ** prefixBits - 1;
		let value = this.#byte() & mask;
		if (value < mask) return value;
		for (let scale = 1; ; scale *= 128) {
			const byte = this.#byte();
			value += (byte & 127) * scale;
			if (byte < 128) return value;
			// No table, header or string of ours is that large.
			if (scale > 2 ** 21) throw broken("an endless number");
		}
	}

	#string(): string {
		const isHuffman = (this.#bytes[this.#at] ?? 0) & 0x80;
		const length = this.#integer(7);
		const start = this.#at;
		if (length > this.#end - start) throw broken("a text goes beyond its block");
		this.#at += length;
		return isHuffman
			? decodeHuffman(this.#bytes, start, this.#at)
			: this.#bytes.toString("latin1", start, this.#at);
	}

	#byte(): number {
		if (this.#at === this.#end) throw broken("a header goes beyond its block");
		return this.#bytes[this.#at++]!;
	}
}

const sizeOf = ([name, value]: Header): number => name.length + value.length + ENTRY_BYTES;

function broken(what: string): ProtocolError {
	return new ProtocolError(Http2Code.COMPRESSION_ERROR, `a header block is broken: ${what}`);
}
