// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { decodeMsgpack, encodeMsgpack } from "@dyn/protocols/msgpack";

/** How bodies are written. The caller chooses per request; the answer comes in the same. */
export type WireFormat = "json" | "msgpack";

export function encodeBody(value: unknown, format: WireFormat): Uint8Array {
	return format === "json" ? Buffer.from(stringifyJson(value)) : encodeMsgpack(value);
}

/** @throws DynError INVALID_ARGUMENT when the bytes are not of that format */
export function decodeBody(bytes: Uint8Array, format: WireFormat): unknown {
	try {
		return format === "json" ? parseJson(Buffer.from(bytes).toString()) : decodeMsgpack(bytes);
	} catch (cause) {
		throw new DynError("INVALID_ARGUMENT", `the body is not ${format}: ${(cause as Error).message}`, {
			cause,
		});
	}
}
