// SPDX-License-Identifier: Apache-2.0
import type { CompletionEnd } from "./completion-stream.js";

/** Requests counted by how they ended. */
export class Tally {
	requests = 0;
	/** Left by the client, as it wanted. */
	left = 0;
	failed = 0;
	tokens = 0;
	slowestFailureMs = 0;
	/** How often each text was complained of. */
	readonly errors: Record<string, number> = {};

	add({ tokens, left, error, beganMs, endedMs }: CompletionEnd): void {
		this.requests++;
		this.tokens += tokens;
		if (left) this.left++;
		if (error === null) return;
		this.failed++;
		this.slowestFailureMs = Math.max(this.slowestFailureMs, Math.round(endedMs - beganMs));
		this.errors[error] = (this.errors[error] ?? 0) + 1;
	}
}
