// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** Protobuf's wire types (protobuf.dev, "Encoding"). */
export type WireType = 0 | 1 | 2 | 5;

const U32 = 0xffff_ffff;
const utf8 = new TextDecoder("utf-8", { fatal: true });

const malformed = (what: string): DynError => new DynError("INTERNAL", `malformed protobuf message: ${what}`);

/** Appends protobuf's scalars to a growing buffer. */
export class WireWriter {
	#bytes: Buffer = Buffer.allocUnsafe(128);
	#length = 0;

	finish(): Buffer {
		return this.#bytes.subarray(0, this.#length);
	}

	tag(field: number, wire: WireType): void {
		this.uint32(field * 8 + wire);
	}

	uint32(value: number): void {
		let rest = value;
		const at = this.#grow(5);
		let end = at;
		for (; rest > 0x7f; rest >>>= 7) this.#bytes[end++] = (rest & 0x7f) | 0x80;
		this.#bytes[end++] = rest;
		this.#length = end;
	}

	/** Negative numbers as their 64-bit two's complement. */
	uint64(value: bigint): void {
		let rest = BigInt.asUintN(64, value);
		let end = this.#grow(10);
		for (; rest > 0x7fn; rest >>= 7n) this.#bytes[end++] = Number(rest & 0x7fn) | 0x80;
		this.#bytes[end++] = Number(rest);
		this.#length = end;
	}

	float(value: number): void {
		this.#length = this.#bytes.writeFloatLE(value, this.#grow(4));
	}

	double(value: number): void {
		this.#length = this.#bytes.writeDoubleLE(value, this.#grow(8));
	}

	/** A length and that many bytes. */
	bytes(value: Uint8Array): void {
		this.uint32(value.length);
		const at = this.#grow(value.length);
		this.#bytes.set(value, at);
		this.#length = at + value.length;
	}

	/** Makes room; returns where it begins. */
	#grow(size: number): number {
		const needed = this.#length + size;
		if (needed > this.#bytes.length) {
			const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
			this.#bytes.copy(larger, 0, 0, this.#length);
			this.#bytes = larger;
		}
		return this.#length;
	}
}

/** Reads protobuf's scalars. All methods throw DynError INTERNAL when the bytes end too soon or say nonsense. */
export class WireReader {
	readonly #bytes: Buffer;
	#position = 0;

	constructor(bytes: Uint8Array) {
		this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	get done(): boolean {
		return this.#position === this.#bytes.length;
	}

	/** A varint's low 32 bits. */
	uint32(): number {
		const first = this.#bytes[this.#position];
		if (first !== undefined && first < 0x80) {
			this.#position++;
			return first;
		}
		return Number(this.uint64() & BigInt(U32));
	}

	uint64(): bigint {
		let value = 0n;
		for (let shift = 0n; shift < 70n; shift += 7n) {
			const byte = this.#bytes[this.#take(1)]!;
			value |= BigInt(byte & 0x7f) << shift;
			if (byte < 0x80) return BigInt.asUintN(64, value);
		}
		throw malformed("a number of more than ten bytes");
	}

	float(): number {
		return this.#bytes.readFloatLE(this.#take(4));
	}

	double(): number {
		return this.#bytes.readDoubleLE(this.#take(8));
	}

	/** The part that a length announces: a view, not a copy. */
	bytes(): Uint8Array {
		const length = this.uint32();
		const at = this.#take(length);
		return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length);
	}

	string(): string {
		try {
			return utf8.decode(this.bytes());
		} catch (error) {
			if (DynError.is(error)) throw error;
			throw malformed("a text that is not UTF-8");
		}
	}

	/** Steps over a value whose field is not known. */
	skip(wire: number): void {
		if (wire === 0) this.uint64();
		else if (wire === 1) this.#take(8);
		else if (wire === 2) this.bytes();
		else if (wire === 5) this.#take(4);
		else throw malformed(`wire type ${wire}`);
	}

	#take(size: number): number {
		const at = this.#position;
		if (size > this.#bytes.length - at) throw malformed("it ends in the middle of a value");
		this.#position = at + size;
		return at;
	}
}
