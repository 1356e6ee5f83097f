// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { Header } from "../http2/hpack/static-table.js";

/** Metadata of a request; keys in lower case, one value or several. */
export type CallMetadata = Readonly<Record<string, string | readonly string[]>>;

const CONTENT_TYPE = "application/grpc";
/** grpc-timeout has at most 8 digits. */
const MAX_TIMEOUT_DIGITS = 99_999_999;

/**
 * The headers of a call (gRPC over HTTP/2, "Requests").
 * @param timeoutMs above 0, or undefined for no deadline
 * @throws DynError INVALID_ARGUMENT for metadata that is not printable ASCII
 */
export function requestHeaders(
	path: string,
	authority: string,
	metadata: CallMetadata = {},
	timeoutMs?: number,
): Header[] {
	const headers: Header[] = [
		[":method", "POST"],
		[":scheme", "http"],
		[":path", path],
		[":authority", authority],
		["te", "trailers"],
		["content-type", CONTENT_TYPE],
		["user-agent", "dyn"],
	];
	if (timeoutMs !== undefined) headers.push(["grpc-timeout", timeoutOf(timeoutMs)]);
	for (const [key, values] of Object.entries(metadata))
		for (const value of [values].flat()) {
			if (!/^[0-9a-z_.-]+$/.test(key) || !/^[\x20-\x7e]*$/.test(value))
				throw invalidArgument(
					key,
					`${key} has characters that gRPC metadata cannot carry; send printable ASCII`,
				);
			headers.push([key, value]);
		}
	return headers;
}

function timeoutOf(ms: number): string {
	const whole = Math.ceil(ms);
	return whole <= MAX_TIMEOUT_DIGITS ? `${whole}m` : `${Math.min(MAX_TIMEOUT_DIGITS, Math.ceil(ms / 1000))}S`;
}

/** The last value of a name. */
export function headerValue(headers: readonly Header[], name: string): string | undefined {
	return headers.findLast((header) => header[0] === name)?.[1];
}

export function isGrpc(headers: readonly Header[]): boolean {
	return headerValue(headers, "content-type")?.startsWith(CONTENT_TYPE) ?? false;
}

/** grpc-message is UTF-8, percent-encoded; what is not stays as it is. */
export function decodeGrpcMessage(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
