// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES, type ErrorCode } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { fromGrpcStatus, GrpcStatus, toGrpcStatus } from "./status.js";

describe("gRPC statuses", () => {
	it("come back as they went", () => {
		for (const status of Object.values(GrpcStatus)) {
			const error = fromGrpcStatus(status, "m", "Call at host");
			expect(error.message).toContain("Call at host: m");
			expect(toGrpcStatus(error)).toBe(status);
		}
	});

	it("say of every code whether the caller or the server is at fault, and whether to try again", () => {
		const faults: readonly number[] = [
			GrpcStatus.INTERNAL,
			GrpcStatus.UNAVAILABLE,
			GrpcStatus.DEADLINE_EXCEEDED,
			GrpcStatus.RESOURCE_EXHAUSTED,
			GrpcStatus.UNIMPLEMENTED,
		];
		for (const [code, { httpStatus }] of Object.entries(ERROR_CODES)) {
			const status = toGrpcStatus(new DynError(code as ErrorCode, "m"));
			expect(status).not.toBe(GrpcStatus.OK);
			if (httpStatus >= 500) expect(faults, code).toContain(status);
		}
		expect(fromGrpcStatus(GrpcStatus.UNAVAILABLE, "m", "c").retryable).toBe(true);
		expect(fromGrpcStatus(GrpcStatus.INVALID_ARGUMENT, "m", "c").retryable).toBe(false);
		expect(fromGrpcStatus(99, "m", "c").code).toBe("INTERNAL");
	});

	it("tell an overload from a message that is too large", () => {
		expect(fromGrpcStatus(8, "busy", "c").code).toBe("OVERLOADED");
		expect(fromGrpcStatus(8, "Received message larger than max (9 vs 4)", "c").code).toBe(
			"PAYLOAD_TOO_LARGE",
		);
	});
});
