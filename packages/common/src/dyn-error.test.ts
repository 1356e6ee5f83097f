// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { DynError, invalidArgument } from "./dyn-error.js";
import { ERROR_CODES } from "./error-codes.js";

describe("DynError", () => {
	it("carries code, status, retryability, details and cause", () => {
		const cause = new Error("socket");
		const error = new DynError("OVERLOADED", "all workers are busy: m; retry later", {
			cause,
			details: { model: "m" },
		});
		expect(error.message).toBe("[OVERLOADED] all workers are busy: m; retry later");
		expect(error.rawMessage).toBe("all workers are busy: m; retry later");
		expect([error.httpStatus, error.retryable, error.cause, error.details]).toEqual([
			529,
			true,
			cause,
			{ model: "m" },
		]);
	});

	it("is recognised across copies of the package by its brand", () => {
		const foreign = Object.defineProperty({ code: "NOT_FOUND" }, Symbol.for("dyn.error"), { value: true });
		expect(DynError.is(foreign)).toBe(true);
		expect(DynError.is(foreign, "NOT_FOUND")).toBe(true);
		expect(DynError.is(foreign, "INTERNAL")).toBe(false);
		expect(DynError.is(new Error("x"))).toBe(false);
		expect(DynError.is(null)).toBe(false);
	});

	it("turns anything thrown into a DynError", () => {
		const known = invalidArgument("n", "n must be at least 1");
		expect(DynError.from(known)).toBe(known);
		expect(known.details).toEqual({ param: "n" });
		expect(DynError.from(new DOMException("stop", "AbortError")).code).toBe("CANCELLED");
		expect(DynError.from("text")).toMatchObject({ code: "INTERNAL", rawMessage: "text" });
	});

	it("has a summary and a remedy for every code", () => {
		for (const [code, info] of Object.entries(ERROR_CODES)) {
			expect(info.summary, code).toMatch(/\.$/);
			expect(info.remedy, code).toMatch(/\.$/);
			expect(info.httpStatus).toBeGreaterThanOrEqual(400);
		}
	});
});
