// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { JsonValue } from "@dyn/protocols";
import type { Reader, Writer } from "protobufjs/minimal.js";
import type { JsonObject } from "../json-object.js";

/** As deep as protobuf's own parsers go. */
const MAX_DEPTH = 100;

// google/protobuf/struct.proto. Struct: map<string, Value> fields = 1. ListValue: repeated Value values = 1.
const FIELD = 10;
const KEY = 10;
const VALUE = 18;
// Value: null_value = 1 (enum), number_value = 2, string_value = 3, bool_value = 4, struct_value = 5, list_value = 6.
const NULL = 8;
const NUMBER = 17;
const STRING = 26;
const BOOL = 32;
const STRUCT = 42;
const LIST = 50;

/**
 * Appends `object` as the fields of a google.protobuf.Struct; a bigint goes as decimal string.
 * @throws DynError INVALID_ARGUMENT for numbers that JSON does not know, and for nesting beyond 100
 */
export function encodeStruct(object: JsonObject, writer: Writer, depth = 0): Writer {
	for (const [key, value] of Object.entries(object)) {
		writer.uint32(FIELD).fork().uint32(KEY).string(key).uint32(VALUE).fork();
		encodeValue(value, writer, depth + 1)
			.ldelim()
			.ldelim();
	}
	return writer;
}

function encodeValue(value: JsonValue, writer: Writer, depth: number): Writer {
	if (depth > MAX_DEPTH) throw tooDeep();
	if (value === null) return writer.uint32(NULL).int32(0);
	switch (typeof value) {
		case "number":
			if (!Number.isFinite(value))
				throw new DynError("INVALID_ARGUMENT", `${value} is no JSON number; send a finite one`);
			return writer.uint32(NUMBER).double(value);
		case "bigint":
			return writer.uint32(STRING).string(String(value));
		case "string":
			return writer.uint32(STRING).string(value);
		case "boolean":
			return writer.uint32(BOOL).bool(value);
	}
	if (!Array.isArray(value))
		return encodeStruct(value as JsonObject, writer.uint32(STRUCT).fork(), depth).ldelim();
	writer.uint32(LIST).fork();
	for (const each of value as readonly JsonValue[]) {
		writer.uint32(FIELD).fork();
		encodeValue(each, writer, depth + 1).ldelim();
	}
	return writer.ldelim();
}

/** The Struct whose fields lie between the reader's position and `end`. */
export function decodeStruct(reader: Reader, end: number, depth = 0): JsonObject {
	const object: Record<string, JsonValue> = {};
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag !== FIELD) {
			reader.skipType(tag & 7);
			continue;
		}
		let key = "";
		let value: JsonValue = null;
		for (const last = reader.uint32() + reader.pos; reader.pos < last; ) {
			const part = reader.uint32();
			if (part === KEY) key = reader.string();
			else if (part === VALUE) value = decodeValue(reader, reader.uint32() + reader.pos, depth + 1);
			else reader.skipType(part & 7);
		}
		// Assigning to `__proto__` would set the prototype.
		Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
	}
	return object;
}

function decodeValue(reader: Reader, end: number, depth: number): JsonValue {
	if (depth > MAX_DEPTH) throw tooDeep();
	let value: JsonValue = null;
	while (reader.pos < end) {
		const tag = reader.uint32();
		switch (tag) {
			case NULL:
				reader.int32();
				value = null;
				break;
			case NUMBER:
				value = reader.double();
				break;
			case STRING:
				value = reader.string();
				break;
			case BOOL:
				value = reader.bool();
				break;
			case STRUCT:
				value = decodeStruct(reader, reader.uint32() + reader.pos, depth);
				break;
			case LIST:
				value = decodeList(reader, reader.uint32() + reader.pos, depth);
				break;
			default:
				reader.skipType(tag & 7);
		}
	}
	return value;
}

function decodeList(reader: Reader, end: number, depth: number): JsonValue[] {
	const list: JsonValue[] = [];
	while (reader.pos < end) {
		const tag = reader.uint32();
		if (tag === FIELD) list.push(decodeValue(reader, reader.uint32() + reader.pos, depth + 1));
		else reader.skipType(tag & 7);
	}
	return list;
}

function tooDeep(): DynError {
	return new DynError("INVALID_ARGUMENT", `a Struct is nested deeper than ${MAX_DEPTH}; send it flatter`);
}
