// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { PlainData } from "@dyn/protocols/dynamo";
import { parseJson } from "@dyn/protocols/json";
import type { WireFormat } from "./wire-format.js";

/** What stands before the body of a request: who asks, how the body is written, and where the answer goes. */
export interface ControlHeader {
	/** Request id. */
	readonly id: string;
	readonly format: WireFormat;
	/** `ip:port` that the worker connects to, and the name by which the answer is known there. */
	readonly address: string;
	readonly subject: string;
}

/** Field order as in Dynamo. */
export function encodeControlHeader({ id, format, address, subject }: ControlHeader): Buffer {
	const info = JSON.stringify({ address, subject, context: id, stream_type: "response" });
	return Buffer.from(
		JSON.stringify({
			id,
			request_type: "single_in",
			response_type: "many_out",
			payload_codec: format,
			connection_info: { transport: "tcp_server", info },
		}),
	);
}

/** @throws DynError INVALID_ARGUMENT */
export function decodeControlHeader(bytes: Buffer): ControlHeader {
	const header = new PlainData(parse(bytes.toString()), "control header");
	const info = new PlainData(
		parse(header.object("connection_info").string("info") ?? "null"),
		"control header.connection_info.info",
	);
	if (header.string("request_type") === "many_in")
		throw new DynError("UNIMPLEMENTED", "requests that are streams themselves are not served here");
	return {
		id: header.required("id", header.string("id")),
		format: header.string("payload_codec") === "msgpack" ? "msgpack" : "json",
		address: info.required("address", info.string("address")),
		subject: info.required("subject", info.string("subject")),
	};
}

function parse(text: string): unknown {
	try {
		return parseJson(text);
	} catch (cause) {
		throw new DynError("INVALID_ARGUMENT", "the control header is not JSON", { cause });
	}
}
