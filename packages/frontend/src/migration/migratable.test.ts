// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES, type ErrorCode } from "@dyn/common";
import { expect, it } from "vitest";
import { isMigratable } from "./migratable.js";

it("are the failures of an instance, and a refusal for load before the first token", () => {
	const codes = (began: boolean) =>
		(Object.keys(ERROR_CODES) as ErrorCode[]).filter((code) => isMigratable(new DynError(code, "x"), began));
	expect(codes(false)).toEqual(["DISCONNECTED", "UNAVAILABLE", "DRAINING", "OVERLOADED"]);
	expect(codes(true)).toEqual(["DISCONNECTED", "UNAVAILABLE", "DRAINING"]);
	expect(isMigratable(new Error("bug"), false)).toBe(false);
});

it("are none when anything in the chain of causes was cancelled", () => {
	const cancelled = new DynError("CANCELLED", "the operator ended it");
	const wrapped = new DynError("UNAVAILABLE", "x", { cause: new Error("y", { cause: cancelled }) });
	expect(isMigratable(wrapped, false)).toBe(false);
	const circular = new DynError("UNAVAILABLE", "x");
	circular.cause = circular;
	expect(isMigratable(circular, false)).toBe(true);
});
