// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode } from "@dyn/common";

/** Failures that are an instance's and not the request's (Dynamo: the eligible reasons of its migration operator). */
const OF_THE_INSTANCE: readonly ErrorCode[] = ["UNAVAILABLE", "DISCONNECTED", "DRAINING"];

/** Causes that are looked at; a longer chain is a mistake. */
const MAX_DEPTH = 16;

/**
 * Whether another instance may succeed where one failed. An instance that is overloaded refuses before it begins, so
 * that one counts before the first token only. What was cancelled anywhere stays cancelled.
 */
export function isMigratable(error: unknown, began: boolean): boolean {
	if (!DynError.is(error)) return false;
	for (let cause: unknown = error, depth = 0; cause && depth < MAX_DEPTH; depth++) {
		if (DynError.is(cause, "CANCELLED")) return false;
		cause = (cause as { cause?: unknown }).cause;
	}
	return OF_THE_INSTANCE.includes(error.code) || (error.code === "OVERLOADED" && !began);
}
