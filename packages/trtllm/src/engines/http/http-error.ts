// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type ErrorCode } from "@dyn/common";

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
	400: "INVALID_ARGUMENT",
	401: "UNAUTHENTICATED",
	403: "UNAUTHENTICATED",
	404: "NOT_FOUND",
	405: "UNIMPLEMENTED",
	408: "DEADLINE_EXCEEDED",
	413: "PAYLOAD_TOO_LARGE",
	422: "INVALID_ARGUMENT",
	429: "OVERLOADED",
	501: "UNIMPLEMENTED",
	502: "UNAVAILABLE",
	503: "UNAVAILABLE",
	504: "DEADLINE_EXCEEDED",
};
/** Longest part of a server's text that is repeated in an error. */
const MAX_QUOTE = 500;

/**
 * The error for an answer with a status that is no success. Bodies are OpenAI's (`{error: {message}}`), TensorRT-LLM's
 * (`{message}`) or FastAPI's (`{detail}`).
 */
export function fromHttpStatus(what: string, status: number, body: string): DynError {
	return new DynError(
		CODE_OF_STATUS[status] ?? "INTERNAL",
		`${what}: ${messageOf(body) || `status ${status}`}`,
		{
			details: { status },
		},
	);
}

/** The error for an error object that came instead of an event. */
export function fromErrorEvent(what: string, event: Readonly<Record<string, unknown>>): DynError {
	const { error, code } = event;
	const inner =
		typeof error === "object" && error !== null ? (error as { readonly code?: unknown }).code : code;
	return fromHttpStatus(what, typeof inner === "number" ? inner : 500, JSON.stringify(event));
}

/** The error for a call that the network ended. */
export function fromNetwork(what: string, error: unknown, signal?: AbortSignal): DynError {
	if (signal?.aborted)
		return signal.reason?.name === "TimeoutError" ? tooLate(what) : cancellationError(signal);
	if (DynError.is(error)) return error;
	const { code, message } = error as NodeJS.ErrnoException;
	const isUnreachable =
		code === "ECONNREFUSED" || code === "ENOTFOUND" || code === "EHOSTUNREACH" || code === "ETIMEDOUT";
	return new DynError(
		isUnreachable ? "UNAVAILABLE" : "DISCONNECTED",
		`${what}: ${message}; is the server running?`,
		{
			cause: error,
		},
	);
}

const tooLate = (what: string) => new DynError("DEADLINE_EXCEEDED", `${what}: no answer in time`);

function messageOf(body: string): string {
	let said: unknown = body;
	try {
		const { error, message, detail } = JSON.parse(body);
		said = error?.message ?? error ?? message ?? detail ?? body;
	} catch {
		// plain text, or cut off
	}
	return (typeof said === "string" ? said : JSON.stringify(said)).trim().slice(0, MAX_QUOTE);
}
