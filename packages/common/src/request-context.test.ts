// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { DynError } from "./dyn-error.js";
import { cancellationError, createRequestContext } from "./request-context.js";

describe("request context", () => {
	it("has an id and a signal that never aborts unless one is given", () => {
		const context = createRequestContext();
		expect(context.id).toMatch(/^[0-9a-f-]{36}$/);
		expect(context.signal.aborted).toBe(false);
		expect(context.deadlineMs).toBeNull();
	});

	it("reports the abort reason when that is one of ours, else CANCELLED", () => {
		const deadline = new DynError("DEADLINE_EXCEEDED", "too slow");
		expect(cancellationError(AbortSignal.abort(deadline))).toBe(deadline);
		expect(cancellationError(AbortSignal.abort("gone"))).toMatchObject({ code: "CANCELLED" });
	});
});
