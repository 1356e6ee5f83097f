// SPDX-License-Identifier: Apache-2.0

/** Bytes written so far; shared by all encodings, since one never waits in the middle. */
let buffer: Buffer = Buffer.allocUnsafe(16 * 1024);
let length = 0;
let omitsNull = false;

export interface EncodeMsgpackOptions {
	/** Leave null fields of maps out as well; maps inside arrays keep theirs. Default false. */
	readonly omitNull?: boolean;
}

/**
 * MessagePack as Rust's rmp writes named structs: maps with string keys, every header and integer in its smallest form.
 * Integers are numbers or bigint (u64 or i64), other numbers 64-bit floats, Uint8Array is bin, a map's undefined values
 * are left out.
 * @returns bytes of the caller's own
 * @throws TypeError for what has no msgpack form: functions, symbols, integers beyond 64 bits
 */
export function encodeMsgpack(value: unknown, options?: EncodeMsgpackOptions): Uint8Array {
	return Buffer.from(borrowMsgpack(value, options));
}

/** As `encodeMsgpack`, without a copy: what comes is only good until the next call of either. */
export function borrowMsgpack(value: unknown, { omitNull = false }: EncodeMsgpackOptions = {}): Uint8Array {
	if (buffer.length > 1 << 20) buffer = Buffer.allocUnsafe(16 * 1024); // one large message must not stay for ever
	length = 0;
	omitsNull = omitNull;
	write(value);
	return buffer.subarray(0, length);
}

function reserve(bytes: number): void {
	if (length + bytes <= buffer.length) return;
	const grown = Buffer.allocUnsafe(Math.max(buffer.length * 2, length + bytes));
	buffer.copy(grown, 0, 0, length);
	buffer = grown;
}

function write(value: unknown): void {
	reserve(9);
	if (typeof value === "string") writeString(value);
	else if (typeof value === "number") {
		if (Number.isSafeInteger(value) && !Object.is(value, -0)) writeInteger(value);
		else writeFloat(value);
	} else if (typeof value === "boolean") buffer[length++] = value ? 0xc3 : 0xc2;
	else if (value === null || value === undefined) buffer[length++] = 0xc0;
	else if (typeof value === "bigint") writeBigInteger(value);
	else if (Array.isArray(value)) writeArray(value);
	else if (value instanceof Uint8Array) writeBinary(value);
	else if (ArrayBuffer.isView(value)) writeArray(value as unknown as ArrayLike<number>);
	else if (typeof value === "object") writeMap(value as Record<string, unknown>);
	else throw new TypeError(`a ${typeof value} has no MessagePack form`);
}

function writeFloat(value: number): void {
	buffer[length++] = 0xcb;
	length = buffer.writeDoubleBE(value, length);
}

function writeInteger(value: number): void {
	if (value >= 0) {
		if (value < 0x80) buffer[length++] = value;
		else if (value < 0x100) {
			buffer[length++] = 0xcc;
			buffer[length++] = value;
		} else if (value < 0x10000) {
			buffer[length++] = 0xcd;
			length = buffer.writeUInt16BE(value, length);
		} else if (value < 0x100000000) {
			buffer[length++] = 0xce;
			length = buffer.writeUInt32BE(value, length);
		} else {
			buffer[length++] = 0xcf;
			length = buffer.writeUInt32BE(Math.floor(value / 0x100000000), length);
			length = buffer.writeUInt32BE(value >>> 0, length);
		}
	} else if (value >= -0x20) buffer[length++] = value & 0xff;
	else if (value >= -0x80) {
		buffer[length++] = 0xd0;
		length = buffer.writeInt8(value, length);
	} else if (value >= -0x8000) {
		buffer[length++] = 0xd1;
		length = buffer.writeInt16BE(value, length);
	} else if (value >= -0x80000000) {
		buffer[length++] = 0xd2;
		length = buffer.writeInt32BE(value, length);
	} else {
		buffer[length++] = 0xd3;
		length = buffer.writeBigInt64BE(BigInt(value), length);
	}
}

function writeBigInteger(value: bigint): void {
	if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER))
		writeInteger(Number(value));
	else writeBigInteger64(value);
}

function writeBigInteger64(value: bigint): void {
	if (value > 0n ? value >= 1n << 64n : value < -(1n << 63n))
		throw new TypeError("an integer beyond 64 bits has no MessagePack form");
	buffer[length++] = value > 0n ? 0xcf : 0xd3;
	length = value > 0n ? buffer.writeBigUInt64BE(value, length) : buffer.writeBigInt64BE(value, length);
}

function writeString(value: string): void {
	if (value.length < 32 && writeShortAscii(value)) return;
	// A UTF-16 unit takes at most three bytes of UTF-8: with room for that, short texts are written in one pass.
	if (value.length < 11) {
		reserve(1 + value.length * 3);
		const bytes = buffer.write(value, length + 1);
		buffer[length] = 0xa0 | bytes;
		length += 1 + bytes;
		return;
	}
	const bytes = Buffer.byteLength(value);
	reserve(5 + bytes);
	if (bytes < 32) buffer[length++] = 0xa0 | bytes;
	else if (bytes < 0x100) {
		buffer[length++] = 0xd9;
		buffer[length++] = bytes;
	} else writeHeader(0xda, bytes);
	length += buffer.write(value, length);
}

/** Keys and ids: leaving JavaScript for these few bytes takes longer than writing them. False when the text is not ASCII. */
function writeShortAscii(value: string): boolean {
	const count = value.length;
	reserve(1 + count);
	for (let i = 0; i < count; i++) {
		const code = value.charCodeAt(i);
		if (code >= 0x80) return false;
		buffer[length + 1 + i] = code;
	}
	buffer[length] = 0xa0 | count;
	length += 1 + count;
	return true;
}

function writeBinary(value: Uint8Array): void {
	reserve(5 + value.length);
	if (value.length < 0x100) {
		buffer[length++] = 0xc4;
		buffer[length++] = value.length;
	} else writeHeader(0xc5, value.length);
	buffer.set(value, length);
	length += value.length;
}

function writeArray(items: ArrayLike<unknown>): void {
	if (items.length < 16) buffer[length++] = 0x90 | items.length;
	else writeHeader(0xdc, items.length);
	const outside = omitsNull;
	omitsNull = false;
	for (let i = 0; i < items.length; i++) write(items[i]);
	omitsNull = outside;
}

function writeMap(map: Record<string, unknown>): void {
	const keys = Object.keys(map);
	let count = 0;
	for (const key of keys) if (isWritten(map[key])) count++;
	if (count < 16) buffer[length++] = 0x80 | count;
	else writeHeader(0xde, count);
	for (const key of keys) {
		const value = map[key];
		if (!isWritten(value)) continue;
		reserve(9);
		writeString(key);
		write(value);
	}
}

function isWritten(value: unknown): boolean {
	return value !== undefined && !(omitsNull && value === null);
}

/** A header with a 16-bit size, or the next code's with a 32-bit size. */
function writeHeader(code16: number, size: number): void {
	buffer[length++] = size < 0x10000 ? code16 : code16 + 1;
	length = size < 0x10000 ? buffer.writeUInt16BE(size, length) : buffer.writeUInt32BE(size, length);
}
