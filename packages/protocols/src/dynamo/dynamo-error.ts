// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES, type ErrorCode } from "@dyn/common";
import { PlainData } from "./plain-data.js";

/** Dynamo's class and reason for a code; `class` wins over the legacy `error_type` there. */
const WIRE: Partial<Record<ErrorCode, readonly [errorClass: string, reason: string]>> = {
	INVALID_ARGUMENT: ["InvalidRequest", "request.invalid_argument"],
	CONTEXT_LENGTH_EXCEEDED: ["InvalidRequest", "request.invalid_argument"],
	UNAUTHENTICATED: ["Unauthenticated", "request.unauthenticated"],
	NOT_FOUND: ["NotFound", "request.not_found"],
	MODEL_NOT_FOUND: ["NotFound", "request.not_found"],
	PAYLOAD_TOO_LARGE: ["PayloadTooLarge", "request.payload_too_large"],
	CANCELLED: ["Cancelled", "backend.cancelled"],
	UNIMPLEMENTED: ["NotImplemented", "runtime.not_implemented"],
	DISCONNECTED: ["Unavailable", "backend.disconnected"],
	UNAVAILABLE: ["Unavailable", "backend.worker_unavailable"],
	DRAINING: ["Unavailable", "backend.engine_shutdown"],
	DEADLINE_EXCEEDED: ["DeadlineExceeded", "request.deadline_exceeded"],
	OVERLOADED: ["CapacityExhausted", "capacity.worker_overloaded"],
};

/** Codes that a reason of Dynamo stands for, beyond those above. */
const REASONS: Readonly<Record<string, ErrorCode>> = {
	"request.invalid": "INVALID_ARGUMENT",
	"request.cancelled": "CANCELLED",
	"backend.invalid_argument": "INVALID_ARGUMENT",
	"backend.unavailable": "UNAVAILABLE",
	"backend.cannot_connect": "UNAVAILABLE",
	"backend.connection_timeout": "UNAVAILABLE",
	"backend.response_timeout": "DISCONNECTED",
	"backend.stream_incomplete": "DISCONNECTED",
	"transport.cannot_connect": "UNAVAILABLE",
	"transport.disconnected": "DISCONNECTED",
	"transport.connection_timeout": "UNAVAILABLE",
	"capacity.exhausted": "OVERLOADED",
	"capacity.pool_exhausted": "OVERLOADED",
};

/** Codes of the class alone, for reasons that are not known here. */
const CLASSES: Readonly<Record<string, ErrorCode>> = {
	InvalidRequest: "INVALID_ARGUMENT",
	InvalidArgument: "INVALID_ARGUMENT",
	Unavailable: "UNAVAILABLE",
	DeadlineExceeded: "DEADLINE_EXCEEDED",
	Cancelled: "CANCELLED",
	CapacityExhausted: "OVERLOADED",
	NotFound: "NOT_FOUND",
	PayloadTooLarge: "PAYLOAD_TOO_LARGE",
	NotImplemented: "UNIMPLEMENTED",
	Disconnected: "DISCONNECTED",
	CannotConnect: "UNAVAILABLE",
};

/** An error as Dynamo's `DynamoError`; `dyn` carries code and details exactly for peers of this project. */
export function encodeDynamoError(error: unknown): Record<string, unknown> {
	const { code, rawMessage, details } = DynError.from(error);
	const [errorClass, reason] = WIRE[code] ?? ["Internal", "runtime.internal"];
	const isClientsFault = ERROR_CODES[code].httpStatus < 500 && code !== "CANCELLED";
	return {
		error_type: errorClass === "InvalidRequest" ? "InvalidArgument" : "Unknown",
		class: errorClass,
		reason,
		message: rawMessage,
		...(isClientsFault ? { public: { type: "message", message: rawMessage } } : {}),
		dyn: { code, details },
	};
}

export function decodeDynamoError(data: unknown): DynError {
	try {
		const error = new PlainData(data, "error");
		const message = error.string("message") ?? "the worker reported an error without a message";
		const own = error.object("dyn");
		const code = own.string("code");
		if (code !== null && Object.hasOwn(ERROR_CODES, code))
			return new DynError(code as ErrorCode, message, {
				details: (own.raw("details") ?? {}) as Record<string, unknown>,
			});
		return new DynError(codeOf(error), message);
	} catch (cause) {
		return new DynError("INTERNAL", "the worker reported an error that cannot be read", { cause });
	}
}

function codeOf(error: PlainData): ErrorCode {
	const reason = error.raw("reason");
	const known = Object.entries(WIRE).find(([, [, each]]) => each === reason);
	if (known) return known[0] as ErrorCode;
	const errorClass = error.raw("class") ?? error.raw("error_type");
	return REASONS[String(reason)] ?? CLASSES[String(errorClass)] ?? "INTERNAL";
}
