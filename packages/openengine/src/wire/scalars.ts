// SPDX-License-Identifier: Apache-2.0
import type { Reader, Writer } from "protobufjs/minimal.js";
import type { MessageInit } from "../message-init.js";

/** Appends the fields of a message in the order of their numbers, zeros of fields without presence left out. */
export type Encoder<T> = (message: MessageInit<T>, writer: Writer) => Writer;

/** Reads the fields up to `end` (default: the reader's end). Unknown fields are skipped. */
export type Decoder<T> = (reader: Reader, end?: number) => T;

/** Shared by every repeated field without items. */
export const NOTHING: readonly never[] = Object.freeze([]);

export const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A value that this schema does not know is UNSPECIFIED, never an error. */
export function enumValue(value: number, highest: number): number {
	return value >= 0 && value <= highest ? value : 0;
}

// protobufjs says 64-bit integers as `long`'s Long; only its two halves are used here.
type Halves = { readonly low: number; readonly high: number; readonly unsigned: boolean };

export function readUint64(reader: Reader): bigint {
	return BigInt.asUintN(64, joined(reader.uint64() as Halves));
}

export function readInt64(reader: Reader): bigint {
	return BigInt.asIntN(64, joined(reader.int64() as Halves));
}

export function writeUint64(writer: Writer, value: bigint): void {
	writer.uint64(halves(value, true) as never);
}

export function writeInt64(writer: Writer, value: bigint): void {
	writer.int64(halves(value, false) as never);
}

/** A copy: a slice would keep the whole message in memory. */
export function readBytes(reader: Reader): Uint8Array {
	return new Uint8Array(reader.bytes());
}

function joined({ low, high }: Halves): bigint {
	return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function halves(value: bigint, unsigned: boolean): Halves {
	return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)), unsigned };
}
