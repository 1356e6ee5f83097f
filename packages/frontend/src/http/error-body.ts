// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES } from "@dyn/common";

/** OpenAI's error object; SDKs pick their exception class by status and show message, param and code. */
export interface ErrorBody {
	readonly error: {
		readonly message: string;
		readonly type: string;
		readonly param: string | null;
		readonly code: string;
	};
}

export function errorBody(thrown: unknown): ErrorBody {
	const error = DynError.from(thrown);
	const { param } = error.details;
	// What went wrong inside is for the log, not for clients.
	const hidden = error.code === "INTERNAL";
	return {
		error: {
			message: hidden ? "Internal server error" : error.rawMessage,
			type: typeOf(error),
			param: typeof param === "string" ? param : null,
			code: error.code.toLowerCase(),
		},
	};
}

function typeOf({ httpStatus }: DynError): string {
	if (httpStatus === 401) return "authentication_error";
	if (httpStatus === 404) return "not_found_error";
	if (httpStatus < 500) return "invalid_request_error";
	return httpStatus === 529 || httpStatus === 503 ? "overloaded_error" : "server_error";
}

/** Headers that tell SDKs whether and when to try again. */
export function retryHeaders(thrown: unknown): Record<string, string> {
	const { httpStatus, retryable } = DynError.from(thrown);
	if (httpStatus === 503 || httpStatus === 529) return { "retry-after": "1", "retry-after-ms": "500" };
	return httpStatus >= 500 ? { "x-should-retry": String(retryable) } : {};
}

/** `error_type` label of the request metrics. */
export function metricLabel(thrown: unknown): string {
	return ERROR_CODES[DynError.from(thrown).code].metricLabel;
}
