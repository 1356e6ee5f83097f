// SPDX-License-Identifier: Apache-2.0
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { DynError } from "@dyn/common";
import { errorBody, retryHeaders } from "./error-body.js";
import { LINGER_MS } from "./linger.js";

/**
 * Ends a connection on which something came that is no request: not HTTP, too large a head, or too slow.
 * @param answering whether an answer is on its way there; nothing may be written into the middle of it
 */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex, answering: boolean): void {
	if (answering || !socket.writable) return void socket.destroy();
	refuseWith(socket, ...reasonOf(error.code));
}

/** Answers on a connection that no HTTP server has, and ends it. */
export function refuseWith(socket: Duplex, status: number, reason: DynError): void {
	const body = JSON.stringify(errorBody(reason));
	const retry = Object.entries(retryHeaders(reason)).map(([name, value]) => `${name}: ${value}\r\n`);
	socket.end(
		`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json\r\n` +
			`${retry.join("")}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
	);
	// A client that keeps its side open does not keep ours.
	const timer = setTimeout(() => socket.destroy(), LINGER_MS);
	socket.once("close", () => clearTimeout(timer));
}

function reasonOf(code: string | undefined): [status: number, reason: DynError] {
	if (code === "ERR_HTTP_REQUEST_TIMEOUT")
		return [
			408,
			new DynError("REQUEST_TIMEOUT", "the request did not arrive in time; send it without pauses"),
		];
	if (code === "HPE_HEADER_OVERFLOW")
		return [431, new DynError("INVALID_ARGUMENT", "the request's headers are too large; send fewer")];
	return [400, new DynError("INVALID_ARGUMENT", "the request is not valid HTTP/1.1")];
}
