// SPDX-License-Identifier: Apache-2.0
import { cachedKey } from "./key-cache.js";

/** Deeper nesting is refused: it would overflow the stack. */
const MAX_DEPTH = 512;

/**
 * Decodes one MessagePack value. Integers beyond 2^53 are bigint, maps are plain objects (keys become strings), bin is
 * a view into `bytes`, strings that are not UTF-8 have replacement characters.
 * @throws RangeError when `bytes` are not exactly one value, or nested too deeply
 */
export function decodeMsgpack(bytes: Uint8Array): unknown {
	const reader = new Reader(bytes);
	const value = reader.read(0);
	if (reader.offset !== bytes.length)
		throw new RangeError(`${bytes.length - reader.offset} bytes follow the MessagePack value`);
	return value;
}

class Reader {
	offset = 0;
	readonly #bytes: Buffer;

	constructor(bytes: Uint8Array) {
		this.#bytes = Buffer.isBuffer(bytes)
			? bytes
			: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	read(depth: number): unknown {
		if (depth > MAX_DEPTH) throw new RangeError(`MessagePack is nested deeper than ${MAX_DEPTH}`);
		const code = this.#bytes[this.#skip(1)]!;
		if (code < 0x80) return code;
		if (code < 0x90) return this.#map(code & 0x0f, depth);
		if (code < 0xa0) return this.#array(code & 0x0f, depth);
		if (code < 0xc0) return this.#string(code & 0x1f);
		if (code >= 0xe0) return code - 0x100;
		switch (code) {
			case 0xc0:
				return null;
			case 0xc2:
				return false;
			case 0xc3:
				return true;
			case 0xc4:
			case 0xc5:
			case 0xc6:
				return this.#binary(this.#unsigned(code - 0xc4));
			case 0xca:
				return this.#bytes.readFloatBE(this.#skip(4));
			case 0xcb:
				return this.#bytes.readDoubleBE(this.#skip(8));
			case 0xcc:
			case 0xcd:
			case 0xce:
				return this.#unsigned(code - 0xcc);
			case 0xcf:
				return exact(this.#bytes.readBigUInt64BE(this.#skip(8)));
			case 0xd0:
				return this.#bytes.readInt8(this.#skip(1));
			case 0xd1:
				return this.#bytes.readInt16BE(this.#skip(2));
			case 0xd2:
				return this.#bytes.readInt32BE(this.#skip(4));
			case 0xd3:
				return exact(this.#bytes.readBigInt64BE(this.#skip(8)));
			case 0xd9:
			case 0xda:
			case 0xdb:
				return this.#string(this.#unsigned(code - 0xd9));
			case 0xdc:
			case 0xdd:
				return this.#array(this.#unsigned(code - 0xdb), depth);
			case 0xde:
			case 0xdf:
				return this.#map(this.#unsigned(code - 0xdd), depth);
			default:
				throw new RangeError(`0x${code.toString(16)} starts no MessagePack value that is known here`);
		}
	}

	/** Goes on by `count` bytes, which are there; returns where they begin. */
	#skip(count: number): number {
		const start = this.offset;
		if (start + count > this.#bytes.length) throw new RangeError("MessagePack ends in the middle of a value");
		this.offset = start + count;
		return start;
	}

	/** An unsigned integer of 1, 2 or 4 bytes for `width` 0, 1 or 2. */
	#unsigned(width: number): number {
		let at = this.#skip(1 << width);
		const bytes = this.#bytes;
		let value = 0;
		while (at < this.offset) value = value * 256 + bytes[at++]!;
		return value;
	}

	#string(count: number): string {
		const start = this.#skip(count);
		return this.#bytes.toString("utf8", start, this.offset);
	}

	#binary(count: number): Buffer {
		const start = this.#skip(count);
		return this.#bytes.subarray(start, this.offset);
	}

	#array(count: number, depth: number): unknown[] {
		this.#require(count);
		const items = new Array<unknown>(count);
		for (let i = 0; i < count; i++) items[i] = this.read(depth + 1);
		return items;
	}

	#map(count: number, depth: number): Record<string, unknown> {
		this.#require(count * 2);
		const map: Record<string, unknown> = {};
		for (let i = 0; i < count; i++) {
			const key = this.#key(depth);
			const value = this.read(depth + 1);
			if (key === "__proto__") Object.defineProperty(map, key, { value, enumerable: true });
			else map[key] = value;
		}
		return map;
	}

	#key(depth: number): string {
		const code = this.#bytes[this.offset]!;
		if (code < 0xa0 || code >= 0xc0) return String(this.read(depth + 1));
		const count = code & 0x1f;
		return cachedKey(this.#bytes, this.#skip(1 + count) + 1, count);
	}

	/** Every value takes a byte at least: a header that promises more is refused before memory is taken for it. */
	#require(values: number): void {
		if (this.offset + values > this.#bytes.length)
			throw new RangeError("MessagePack ends in the middle of a value");
	}
}

function exact(value: bigint): number | bigint {
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : value;
}
