// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { WireReader, type WireType, WireWriter } from "./wire.js";

type FieldInit<T> = T extends string | number | bigint | boolean | undefined | Uint8Array
	? T
	: T extends readonly (infer Item)[]
		? readonly FieldInit<Item>[]
		: MessageInit<T>;

/** A message to be sent: what is absent at any depth goes out as absent. */
export type MessageInit<T> = { readonly [K in keyof T]?: FieldInit<T[K]> | undefined };

/** Writes and reads one message. */
export interface MessageCodec<T> {
	/** Fields in the order of their numbers, zeros of fields without presence left out. @throws DynError INVALID_ARGUMENT */
	encode(message: MessageInit<T>): Buffer;
	/** Unknown fields are skipped. @throws DynError INTERNAL for bytes that are no such message */
	decode(bytes: Uint8Array): T;
}

/** How a type looks on the wire. */
export interface Kind<T> {
	readonly wire: WireType;
	/** What an absent field without presence means; undefined for messages, which always have presence. */
	readonly zero: T | undefined;
	write(writer: WireWriter, value: T): void;
	read(reader: WireReader): T;
}

/** One field of a message; `T` is its type in TypeScript. */
export interface Field<T> {
	readonly number: number;
	readonly label: "plain" | "optional" | "repeated";
	// biome-ignore lint/suspicious/noExplicitAny: a field of any type is written with the kind that was made for it
	readonly kind: Kind<any>;
	/** Never set: keeps `Field<number>` from passing for `Field<number | undefined>`. */
	readonly type?: (value: T) => T;
}

type Fields<T> = { readonly [K in keyof T]-?: Field<T[K]> };

function integer(
	isValid: (value: number) => boolean,
	name: string,
	convert: (raw: number) => number,
): Kind<number> {
	return {
		wire: 0,
		zero: 0,
		write(writer, value) {
			if (!Number.isInteger(value) || !isValid(value))
				throw new DynError(
					"INVALID_ARGUMENT",
					`${value} is no ${name}, which the server's message needs there`,
				);
			if (value < 0) writer.uint64(BigInt(value));
			else writer.uint32(value);
		},
		read: (reader) => convert(reader.uint32()),
	};
}

function long(fit: (value: bigint) => bigint, name: string): Kind<bigint> {
	return {
		wire: 0,
		zero: 0n,
		write(writer, value) {
			if (fit(value) !== value)
				throw new DynError(
					"INVALID_ARGUMENT",
					`${value} is no ${name}, which the server's message needs there`,
				);
			writer.uint64(value);
		},
		read: (reader) => fit(reader.uint64()),
	};
}

export const uint32: Kind<number> = integer(
	(value) => value >= 0 && value < 2 ** 32,
	"uint32",
	(raw) => raw,
);
export const int32: Kind<number> = integer(
	(value) => value === (value | 0),
	"int32",
	(raw) => raw | 0,
);
export const uint64: Kind<bigint> = long((value) => BigInt.asUintN(64, value), "uint64");
export const int64: Kind<bigint> = long((value) => BigInt.asIntN(64, value), "int64");
export const bool: Kind<boolean> = {
	wire: 0,
	zero: false,
	write: (writer, value) => writer.uint32(value ? 1 : 0),
	read: (reader) => reader.uint64() !== 0n,
};
export const float: Kind<number> = {
	wire: 5,
	zero: 0,
	write: (writer, value) => writer.float(value),
	read: (reader) => reader.float(),
};
export const double: Kind<number> = {
	wire: 1,
	zero: 0,
	write: (writer, value) => writer.double(value),
	read: (reader) => reader.double(),
};
export const string: Kind<string> = {
	wire: 2,
	zero: "",
	write: (writer, value) => writer.bytes(Buffer.from(value)),
	read: (reader) => reader.string(),
};
export const bytes: Kind<Uint8Array> = {
	wire: 2,
	zero: new Uint8Array(0),
	write: (writer, value) => writer.bytes(value),
	// A copy: the whole message may be a view of what a socket has read.
	read: (reader) => new Uint8Array(reader.bytes()),
};
/** A message within a message. */
export const nested = <T>(codec: MessageCodec<T>): Kind<T> => ({
	wire: 2,
	zero: undefined,
	write: (writer, value) => writer.bytes(codec.encode(value as MessageInit<T>)),
	read: (reader) => codec.decode(reader.bytes()),
});

export const plain = <T>(number: number, kind: Kind<T>): Field<T> => ({ number, label: "plain", kind });
export const optional = <T>(number: number, kind: Kind<T>): Field<T | undefined> => ({
	number,
	label: "optional",
	kind,
});
export const repeated = <T>(number: number, kind: Kind<T>): Field<readonly T[]> => ({
	number,
	label: "repeated",
	kind,
});

/** Scalars that are not length-delimited are packed when repeated. */
const isPacked = ({ label, kind }: Field<unknown>): boolean => label === "repeated" && kind.wire !== 2;

/** @param oneofs names of fields of which a message has one at most: the last one read counts */
export function message<T extends object>(
	fields: Fields<T>,
	oneofs: readonly (readonly (keyof T & string)[])[] = [],
): MessageCodec<T> {
	const inOrder = (Object.entries(fields) as [string, Field<unknown>][]).sort(
		([, a], [, b]) => a.number - b.number,
	);
	const byNumber = new Map(inOrder.map(([name, field]) => [field.number, { name, field }]));
	return {
		encode(init) {
			const writer = new WireWriter();
			for (const [name, field] of inOrder) writeField(writer, field, (init as Record<string, unknown>)[name]);
			return writer.finish();
		},
		decode(data) {
			const reader = new WireReader(data);
			const found: Record<string, unknown> = {};
			for (const [name, { label, kind }] of inOrder) {
				if (label === "repeated") found[name] = [];
				else if (label === "plain") found[name] = kind.zero;
			}
			while (!reader.done) {
				const tag = reader.uint32();
				const known = byNumber.get(tag >>> 3);
				if (!known || !readField(reader, known.field, tag & 7, known.name, found)) reader.skip(tag & 7);
				else
					for (const group of oneofs)
						if ((group as readonly string[]).includes(known.name))
							for (const other of group) if (other !== known.name) delete found[other];
			}
			return found as T;
		},
	};
}

function writeField(writer: WireWriter, field: Field<unknown>, value: unknown): void {
	const { number, label, kind } = field;
	if (value === undefined) return;
	if (label !== "repeated") {
		const isZero = kind.wire === 2 ? (value as { length: number }).length === 0 : Object.is(value, kind.zero);
		if (label === "plain" && isZero) return;
		writer.tag(number, kind.wire);
		kind.write(writer, value);
		return;
	}
	const items = value as readonly unknown[];
	if (items.length === 0) return;
	if (!isPacked(field))
		for (const item of items) {
			writer.tag(number, kind.wire);
			kind.write(writer, item);
		}
	else {
		const packed = new WireWriter();
		for (const item of items) kind.write(packed, item);
		writer.tag(number, 2);
		writer.bytes(packed.finish());
	}
}

/** False when the value on the wire is of another type than the field: it is then skipped like an unknown one. */
function readField(
	reader: WireReader,
	field: Field<unknown>,
	wire: number,
	name: string,
	found: Record<string, unknown>,
): boolean {
	if (isPacked(field) && wire === 2) {
		const packed = new WireReader(reader.bytes());
		while (!packed.done) (found[name] as unknown[]).push(field.kind.read(packed));
		return true;
	}
	if (wire !== field.kind.wire) return false;
	const value = field.kind.read(reader);
	if (field.label === "repeated") (found[name] as unknown[]).push(value);
	else found[name] = value;
	return true;
}
