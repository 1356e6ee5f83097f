// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode } from "@dyn/common";

/** gRPC's status codes by name (grpc.io, "Status codes"). */
export const GrpcStatus = {
	OK: 0,
	CANCELLED: 1,
	UNKNOWN: 2,
	INVALID_ARGUMENT: 3,
	DEADLINE_EXCEEDED: 4,
	NOT_FOUND: 5,
	ALREADY_EXISTS: 6,
	PERMISSION_DENIED: 7,
	RESOURCE_EXHAUSTED: 8,
	FAILED_PRECONDITION: 9,
	ABORTED: 10,
	OUT_OF_RANGE: 11,
	UNIMPLEMENTED: 12,
	INTERNAL: 13,
	UNAVAILABLE: 14,
	DATA_LOSS: 15,
	UNAUTHENTICATED: 16,
} as const;
export type GrpcStatus = (typeof GrpcStatus)[keyof typeof GrpcStatus];

const CODE_OF_STATUS: readonly ErrorCode[] = [
	"INTERNAL",
	"DISCONNECTED",
	"INTERNAL",
	"INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED",
	"NOT_FOUND",
	"INVALID_ARGUMENT",
	"UNAUTHENTICATED",
	"OVERLOADED",
	"INVALID_ARGUMENT",
	"UNAVAILABLE",
	"INVALID_ARGUMENT",
	"UNIMPLEMENTED",
	"INTERNAL",
	"UNAVAILABLE",
	"INTERNAL",
	"UNAUTHENTICATED",
];

const STATUS_OF_CODE: Readonly<Partial<Record<ErrorCode, GrpcStatus>>> = {
	INVALID_ARGUMENT: GrpcStatus.INVALID_ARGUMENT,
	CONTEXT_LENGTH_EXCEEDED: GrpcStatus.INVALID_ARGUMENT,
	UNAUTHENTICATED: GrpcStatus.UNAUTHENTICATED,
	NOT_FOUND: GrpcStatus.NOT_FOUND,
	MODEL_NOT_FOUND: GrpcStatus.NOT_FOUND,
	PAYLOAD_TOO_LARGE: GrpcStatus.RESOURCE_EXHAUSTED,
	CANCELLED: GrpcStatus.CANCELLED,
	UNIMPLEMENTED: GrpcStatus.UNIMPLEMENTED,
	DISCONNECTED: GrpcStatus.UNAVAILABLE,
	UNAVAILABLE: GrpcStatus.UNAVAILABLE,
	DRAINING: GrpcStatus.UNAVAILABLE,
	DEADLINE_EXCEEDED: GrpcStatus.DEADLINE_EXCEEDED,
	OVERLOADED: GrpcStatus.RESOURCE_EXHAUSTED,
};

/** The status for an error: `details.grpcStatus` where it says one, else by its code; INTERNAL for all others. */
export function toGrpcStatus(error: DynError): GrpcStatus {
	const own = error.details["grpcStatus"];
	if (typeof own === "number") return own as GrpcStatus;
	return STATUS_OF_CODE[error.code] ?? GrpcStatus.INTERNAL;
}

/**
 * The error for a call that ended with `status`; `details.grpcStatus` keeps it. CANCELLED is the other side's doing, a
 * connection that it closed: who cancels a call does not ask for its status.
 * @param what the call, for the message: `Generate at 127.0.0.1:50051`
 */
export function fromGrpcStatus(status: number, message: string, what: string): DynError {
	// grpc-js says so of a message above its limit; trying again elsewhere would not make it smaller.
	const tooLarge = status === GrpcStatus.RESOURCE_EXHAUSTED && /larger than/i.test(message);
	const code = tooLarge ? "PAYLOAD_TOO_LARGE" : (CODE_OF_STATUS[status] ?? "INTERNAL");
	return new DynError(code, `${what}: ${message}`, { details: { grpcStatus: status } });
}
