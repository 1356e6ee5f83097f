// SPDX-License-Identifier: Apache-2.0
import type { StepSequence } from "../backend/forward-backend.js";
import type { ScheduledShare } from "../scheduler/scheduler.js";

const NO_GUESSES = new Uint32Array(0);

/** What the backend does after the last row of a share. */
export function outputOf({ sequence, samples }: ScheduledShare): StepSequence["output"] {
	if (sequence.hidden !== "none") return samples || sequence.hidden === "all" ? "hidden" : "none";
	return !samples ? "none" : sequence.processed ? "logits" : "sample";
}

/** A share as the backend takes it. */
export function toStepSequence(share: ScheduledShare): StepSequence {
	const { sequence, count, guesses = NO_GUESSES } = share;
	const tokens = sequence.tokens.view(sequence.computed, sequence.computed + count);
	return {
		slot: sequence.slot,
		tokens: guesses.length === 0 ? tokens : Uint32Array.of(...tokens, ...guesses),
		drafts: guesses.length,
		position: sequence.computed,
		blocks: Uint32Array.from(sequence.blocks),
		output: outputOf(share),
		adapter: sequence.adapter,
	};
}
