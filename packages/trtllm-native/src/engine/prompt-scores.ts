// SPDX-License-Identifier: Apache-2.0
import type { TokenLogprobs } from "@dyn/protocols";
import type { SampledToken, StepSequence } from "../backend/forward-backend.js";
import type { Sequence } from "../scheduler/sequence.js";
import { logprobsOf } from "./active-request.js";

/** Log-probabilities of a prompt, gathered step by step. */
export class PromptScores {
	readonly #sequence: Sequence;
	readonly #top: number;
	/** By position; null for the first, which follows nothing. */
	readonly #entries: (TokenLogprobs | null)[] = [null];

	/** @param top alternatives per token, 0..20 */
	constructor(sequence: Sequence, top: number) {
		this.#sequence = sequence;
		this.#top = top;
		sequence.unscored = sequence.promptLength > 1;
	}

	/** What the next `count` tokens of the sequence are to tell. */
	wanted(count: number): NonNullable<StepSequence["scored"]> | undefined {
		const { computed, promptLength, tokens, unscored } = this.#sequence;
		if (!unscored) return undefined;
		const targets = tokens.view(computed + 1, Math.min(computed + 1 + count, promptLength));
		return { targets, top: this.#top };
	}

	/** Books what they told, before they are booked as computed. After a preemption the same may come again. */
	add(scores: readonly SampledToken[]): void {
		const { computed, promptLength } = this.#sequence;
		for (const [i, score] of scores.entries()) this.#entries[computed + 1 + i] = logprobsOf(score);
		this.#sequence.unscored = this.#entries.length < promptLength;
	}

	/** One entry per token of the prompt, the first time that it is asked for. */
	take(): readonly (TokenLogprobs | null)[] {
		return this.#entries.splice(0);
	}
}
