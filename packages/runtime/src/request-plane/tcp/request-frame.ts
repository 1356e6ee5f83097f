// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { PlainData } from "@dyn/protocols/dynamo";
import type { ByteQueue } from "./byte-queue.js";

// What a caller sends over a request connection: u16 path length, path, u16 headers length, headers (JSON object of
// strings), u32 payload length, payload (a TwoPart message); big-endian. Answered by u32 length and text; length 0 means
// accepted.

/** Largest payload (Dynamo: DYN_TCP_MAX_MESSAGE_SIZE). */
export const MAX_REQUEST_BYTES: number = 32 * 2 ** 20;

export interface RequestFrame {
	/** Right of the first slash of the instance's address; names the endpoint to the worker. */
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly payload: Buffer;
}

/** @throws DynError PAYLOAD_TOO_LARGE */
export function encodeRequestFrame({ path, headers, payload }: RequestFrame): Buffer {
	if (payload.length > MAX_REQUEST_BYTES)
		throw new DynError(
			"PAYLOAD_TOO_LARGE",
			`the request takes ${payload.length} bytes on the wire, at most ${MAX_REQUEST_BYTES} are possible`,
		);
	const pathBytes = Buffer.from(path);
	const headerBytes = Buffer.from(JSON.stringify(headers));
	const frame = Buffer.allocUnsafe(8 + pathBytes.length + headerBytes.length + payload.length);
	let offset = frame.writeUInt16BE(pathBytes.length, 0);
	offset += pathBytes.copy(frame, offset);
	offset = frame.writeUInt16BE(headerBytes.length, offset);
	offset += headerBytes.copy(frame, offset);
	offset = frame.writeUInt32BE(payload.length, offset);
	payload.copy(frame, offset);
	return frame;
}

/**
 * Takes one frame off the queue; null while it is not there in whole.
 * @throws DynError INVALID_ARGUMENT when what comes is no frame; the connection cannot be used any more
 */
export function takeRequestFrame(queue: ByteQueue): RequestFrame | null {
	const pathLength = queue.peek(2)?.readUInt16BE(0);
	if (pathLength === undefined) return null;
	const headerLength = queue.peek(2 + pathLength + 2)?.readUInt16BE(2 + pathLength);
	if (headerLength === undefined) return null;
	const payloadAt = 2 + pathLength + 2 + headerLength + 4;
	const payloadLength = queue.peek(payloadAt)?.readUInt32BE(payloadAt - 4);
	if (payloadLength === undefined) return null;
	if (payloadLength > MAX_REQUEST_BYTES)
		throw new DynError(
			"INVALID_ARGUMENT",
			`a request of ${payloadLength} bytes exceeds the limit of ${MAX_REQUEST_BYTES}`,
		);
	const frame = queue.take(payloadAt + payloadLength);
	if (!frame) return null;
	const headers = frame.toString("utf8", 2 + pathLength + 2, payloadAt - 4);
	return {
		path: frame.toString("utf8", 2, 2 + pathLength),
		headers: parseHeaders(headers),
		payload: frame.subarray(payloadAt),
	};
}

function parseHeaders(text: string): Readonly<Record<string, string>> {
	if (text === "") return {};
	let headers: unknown;
	try {
		headers = JSON.parse(text);
		new PlainData(headers, "headers");
	} catch (cause) {
		throw new DynError("INVALID_ARGUMENT", "the request's headers are no JSON object", { cause });
	}
	const strings = Object.entries(headers as object).filter(([, value]) => typeof value === "string");
	return Object.fromEntries(strings);
}

/** An answer to a request frame; no text means accepted. */
export function encodeAck(text = ""): Buffer {
	const bytes = Buffer.from(text);
	const ack = Buffer.allocUnsafe(4 + bytes.length);
	ack.writeUInt32BE(bytes.length, 0);
	bytes.copy(ack, 4);
	return ack;
}

/** Longest refusal that is read; more is no refusal. */
const MAX_ACK_BYTES = 64 * 1024;

/**
 * Takes one answer off the queue: its text, empty for accepted; null while it is not there in whole.
 * @throws DynError DISCONNECTED when what comes is no answer
 */
export function takeAck(queue: ByteQueue): string | null {
	const length = queue.peek(4)?.readUInt32BE(0);
	if (length === undefined) return null;
	if (length > MAX_ACK_BYTES) throw new DynError("DISCONNECTED", `an answer of ${length} bytes is no answer`);
	return queue.take(4 + length)?.toString("utf8", 4) ?? null;
}

const OVERLOADED = "Server overloaded:";
const UNAVAILABLE = "Server unavailable:";

export const refusals = {
	overloaded: (why: string): string => `${OVERLOADED} ${why}`,
	unavailable: (why: string): string => `${UNAVAILABLE} ${why}`,
};

/** What a refusal means to the caller; null for accepted, which is also what any other text means in Dynamo. */
export function refusalError(text: string): DynError | null {
	if (text.startsWith(OVERLOADED)) return new DynError("OVERLOADED", text.slice(OVERLOADED.length).trim());
	if (text.startsWith(UNAVAILABLE)) return new DynError("UNAVAILABLE", text.slice(UNAVAILABLE.length).trim());
	if (text.startsWith("Read error:")) return new DynError("DISCONNECTED", text);
	return null;
}
