// SPDX-License-Identifier: Apache-2.0
import { Http2Code } from "../http2/frames.js";
import { GrpcStatus } from "./status.js";

/** Of an answer that is none of gRPC, by its HTTP status (grpc.io, "HTTP to gRPC Status Code Mapping"). */
const OF_HTTP: Readonly<Record<string, GrpcStatus>> = {
	"400": GrpcStatus.INTERNAL,
	"401": GrpcStatus.UNAUTHENTICATED,
	"403": GrpcStatus.PERMISSION_DENIED,
	"404": GrpcStatus.UNIMPLEMENTED,
	"429": GrpcStatus.UNAVAILABLE,
	"502": GrpcStatus.UNAVAILABLE,
	"503": GrpcStatus.UNAVAILABLE,
	"504": GrpcStatus.UNAVAILABLE,
};

/** Of a stream that was reset (gRPC over HTTP/2, "Errors"). */
const OF_RESET: Readonly<Record<number, GrpcStatus>> = {
	[Http2Code.REFUSED_STREAM]: GrpcStatus.UNAVAILABLE,
	[Http2Code.CANCEL]: GrpcStatus.CANCELLED,
	[Http2Code.ENHANCE_YOUR_CALM]: GrpcStatus.RESOURCE_EXHAUSTED,
	[Http2Code.INADEQUATE_SECURITY]: GrpcStatus.PERMISSION_DENIED,
};

export function statusOfHttp(httpStatus: string | undefined): GrpcStatus {
	return OF_HTTP[httpStatus ?? ""] ?? GrpcStatus.UNKNOWN;
}

/** @param code null when the connection is gone */
export function statusOfReset(code: number | null): GrpcStatus {
	return code === null ? GrpcStatus.UNAVAILABLE : (OF_RESET[code] ?? GrpcStatus.INTERNAL);
}
