// SPDX-License-Identifier: Apache-2.0

/** How an error code reaches HTTP clients, callers and operators. One row per code; `docs/reference/errors.md` is generated from it. */
export interface ErrorCodeInfo {
	/** HTTP status a frontend answers with when nothing has been sent yet. */
	readonly httpStatus: number;
	/** Whether the same request may succeed elsewhere or later. */
	readonly retryable: boolean;
	/** `error_type` label of the request metrics (names as in Dynamo). */
	readonly metricLabel:
		| "validation"
		| "not_found"
		| "overload"
		| "unavailable"
		| "cancelled"
		| "response_timeout"
		| "internal"
		| "not_implemented";
	readonly summary: string;
	readonly remedy: string;
}

function row(
	httpStatus: number,
	retryable: boolean,
	metricLabel: ErrorCodeInfo["metricLabel"],
	summary: string,
	remedy: string,
): ErrorCodeInfo {
	return { httpStatus, retryable, metricLabel, summary, remedy };
}

export type ErrorCode =
	| "INVALID_ARGUMENT"
	| "CONTEXT_LENGTH_EXCEEDED"
	| "UNAUTHENTICATED"
	| "NOT_FOUND"
	| "MODEL_NOT_FOUND"
	| "METHOD_NOT_ALLOWED"
	| "REQUEST_TIMEOUT"
	| "PAYLOAD_TOO_LARGE"
	| "UNSUPPORTED_MEDIA_TYPE"
	| "CANCELLED"
	| "INTERNAL"
	| "LOGITS_PROCESSOR_FAILED"
	| "UNIMPLEMENTED"
	| "DISCONNECTED"
	| "UNAVAILABLE"
	| "DRAINING"
	| "DEADLINE_EXCEEDED"
	| "OVERLOADED"
	| "MODEL_FORMAT"
	| "MODEL_UNAVAILABLE"
	| "CHECKSUM_MISMATCH"
	| "OFFLINE"
	| "DISK_FULL"
	| "NATIVE_UNAVAILABLE"
	| "OUT_OF_MEMORY";

export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorCodeInfo>> = {
	INVALID_ARGUMENT: row(
		400,
		false,
		"validation",
		"A value is missing, of the wrong type or out of range.",
		"Correct the field that the message names.",
	),
	CONTEXT_LENGTH_EXCEEDED: row(
		400,
		false,
		"validation",
		"The prompt does not fit into the model's context.",
		"Shorten the prompt or lower max_tokens.",
	),
	UNAUTHENTICATED: row(
		401,
		false,
		"validation",
		"The request carries no valid API key.",
		"Send a valid key in the Authorization header.",
	),
	NOT_FOUND: row(
		404,
		false,
		"not_found",
		"The named thing does not exist.",
		"Check the spelling; list what exists.",
	),
	MODEL_NOT_FOUND: row(
		404,
		false,
		"not_found",
		"No worker serves a model of that name.",
		"List the served models with GET /v1/models.",
	),
	METHOD_NOT_ALLOWED: row(
		405,
		false,
		"validation",
		"The route exists, but not for this HTTP method.",
		"Use the method that the Allow header names.",
	),
	REQUEST_TIMEOUT: row(
		408,
		true,
		"validation",
		"The client did not send its request in time.",
		"Send the body without pauses.",
	),
	PAYLOAD_TOO_LARGE: row(
		413,
		false,
		"validation",
		"The request body is larger than the limit.",
		"Send a smaller body or raise the limit.",
	),
	UNSUPPORTED_MEDIA_TYPE: row(
		415,
		false,
		"validation",
		"The request body is not JSON.",
		"Send Content-Type: application/json.",
	),
	CANCELLED: row(499, false, "cancelled", "The caller went away or cancelled.", "Nothing to do."),
	INTERNAL: row(
		500,
		false,
		"internal",
		"Something failed that should not.",
		"Read the server log; report it with the request id.",
	),
	LOGITS_PROCESSOR_FAILED: row(
		500,
		false,
		"internal",
		"A logits processor threw.",
		"Fix the processor that the message names.",
	),
	UNIMPLEMENTED: row(
		501,
		false,
		"not_implemented",
		"This feature is not available here.",
		"Remove the field or use a worker that has the feature.",
	),
	DISCONNECTED: row(
		502,
		true,
		"unavailable",
		"The connection to a worker broke.",
		"Retry; look at the worker's log.",
	),
	UNAVAILABLE: row(
		503,
		true,
		"unavailable",
		"No worker can take the request now.",
		"Retry later; check that a worker is running and ready.",
	),
	DRAINING: row(503, true, "unavailable", "The server is shutting down.", "Retry against another instance."),
	DEADLINE_EXCEEDED: row(
		504,
		true,
		"response_timeout",
		"The request ran past its deadline.",
		"Retry, or allow more time.",
	),
	OVERLOADED: row(
		529,
		true,
		"overload",
		"Every worker is at its limit.",
		"Retry after the time in the Retry-After header.",
	),
	MODEL_FORMAT: row(
		500,
		false,
		"internal",
		"A checkpoint cannot be loaded: unknown architecture, truncated file, wrong shape or missing tensor.",
		"Use a supported checkpoint, or fetch the file again.",
	),
	MODEL_UNAVAILABLE: row(
		500,
		false,
		"internal",
		"A model could not be obtained.",
		"Follow the message: network, pip, disk space or the model's name.",
	),
	CHECKSUM_MISMATCH: row(
		500,
		false,
		"internal",
		"A downloaded file is not the file that was expected.",
		"Remove the file and pull the model again.",
	),
	OFFLINE: row(
		500,
		false,
		"internal",
		"A download is needed but offline mode is on.",
		"Unset the offline switch or pull the model beforehand.",
	),
	DISK_FULL: row(
		500,
		false,
		"internal",
		"There is no room left on the disk.",
		"Free disk space or choose another directory.",
	),
	NATIVE_UNAVAILABLE: row(
		500,
		false,
		"internal",
		"The native engine binary could not be loaded.",
		"Build it with the command that the message names.",
	),
	OUT_OF_MEMORY: row(
		500,
		false,
		"internal",
		"Not enough memory for the model or its KV cache.",
		"Use a smaller model, fewer KV blocks or a shorter context.",
	),
};
