// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { borrowMsgpack, decodeMsgpack, encodeMsgpack } from "@dyn/protocols/msgpack";

/** How bodies are written. The caller chooses per request; the answer comes in the same. */
export type WireFormat = "json" | "msgpack";

export function encodeBody(value: unknown, format: WireFormat): Uint8Array {
	return format === "json" ? Buffer.from(stringifyJson(value)) : encodeMsgpack(value);
}

/** As `encodeBody`, for who copies the bytes at once: they are only good until the next call. */
export function borrowBody(value: unknown, format: WireFormat): Uint8Array {
	return format === "json" ? encodeBody(value, format) : borrowMsgpack(value);
}

/** @throws DynError INVALID_ARGUMENT when the bytes are not of that format */
export function decodeBody(bytes: Uint8Array, format: WireFormat): unknown {
	try {
		if (format === "msgpack") return decodeMsgpack(bytes);
		return parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
	} catch (cause) {
		throw new DynError("INVALID_ARGUMENT", `the body is not ${format}: ${(cause as Error).message}`, {
			cause,
		});
	}
}
