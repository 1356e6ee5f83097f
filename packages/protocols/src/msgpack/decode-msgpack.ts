// SPDX-License-Identifier: Apache-2.0

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
		this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	read(depth: number): unknown {
		if (depth > MAX_DEPTH) throw new RangeError(`MessagePack is nested deeper than ${MAX_DEPTH}`);
		const code = this.#take(1)[0]!;
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
				return this.#take(this.#size(code - 0xc4));
			case 0xca:
				return this.#take(4).readFloatBE();
			case 0xcb:
				return this.#take(8).readDoubleBE();
			case 0xcc:
			case 0xcd:
			case 0xce:
				return this.#size(code - 0xcc);
			case 0xcf:
				return exact(this.#take(8).readBigUInt64BE());
			case 0xd0:
				return this.#take(1).readInt8();
			case 0xd1:
				return this.#take(2).readInt16BE();
			case 0xd2:
				return this.#take(4).readInt32BE();
			case 0xd3:
				return exact(this.#take(8).readBigInt64BE());
			case 0xd9:
			case 0xda:
			case 0xdb:
				return this.#string(this.#size(code - 0xd9));
			case 0xdc:
			case 0xdd:
				return this.#array(this.#size(code - 0xdb), depth);
			case 0xde:
			case 0xdf:
				return this.#map(this.#size(code - 0xdd), depth);
			default:
				throw new RangeError(`0x${code.toString(16)} starts no MessagePack value that is known here`);
		}
	}

	#take(count: number): Buffer {
		const end = this.offset + count;
		if (end > this.#bytes.length) throw new RangeError("MessagePack ends in the middle of a value");
		const part = this.#bytes.subarray(this.offset, end);
		this.offset = end;
		return part;
	}

	/** An unsigned integer of 1, 2 or 4 bytes for `width` 0, 1 or 2. */
	#size(width: number): number {
		const part = this.#take(1 << width);
		return part.readUIntBE(0, part.length);
	}

	#string(bytes: number): string {
		return this.#take(bytes).toString("utf8");
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
			const key = String(this.read(depth + 1));
			const value = this.read(depth + 1);
			if (key === "__proto__") Object.defineProperty(map, key, { value, enumerable: true });
			else map[key] = value;
		}
		return map;
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
