// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, TokenLogprobs } from "@dyn/protocols";
import type { Answers } from "./active-request.js";

/** A candidate, folded from its deltas. */
interface Candidate extends EngineOutput {
	readonly tokenIds: number[];
	readonly logprobs: TokenLogprobs[];
}

/**
 * Holds the candidates of a request back until all have ended, then answers those whose tokens are the likeliest on
 * average, best first; as `best_of` of OpenAI's completions. Every candidate comes with log-probabilities.
 */
export class BestOf implements Answers {
	readonly #answers: Answers;
	readonly #count: number;
	readonly #withLogprobs: boolean;
	readonly #candidates = new Map<number, Candidate>();

	/** @param count how many candidates are answered */
	constructor(answers: Answers, count: number, withLogprobs: boolean) {
		this.#answers = answers;
		this.#count = count;
		this.#withLogprobs = withLogprobs;
	}

	push(output: EngineOutput): void {
		const before = this.#candidates.get(output.index);
		this.#candidates.set(output.index, {
			...output,
			...before,
			tokenIds: [...(before?.tokenIds ?? []), ...output.tokenIds],
			logprobs: [...(before?.logprobs ?? []), ...(output.logprobs ?? [])],
			finishReason: output.finishReason,
			stopTokenId: output.stopTokenId,
			usage: output.usage,
		});
	}

	fail(error: unknown): void {
		this.#answers.fail(error);
	}

	end(): void {
		const ranked = [...this.#candidates.values()].sort(
			(a, b) => meanLogprob(b) - meanLogprob(a) || a.index - b.index,
		);
		const promptLogprobs = this.#candidates.get(0)?.promptLogprobs;
		for (const [index, { promptLogprobs: _, ...best }] of ranked.slice(0, this.#count).entries())
			this.#answers.push({
				...best,
				index,
				logprobs: this.#withLogprobs ? best.logprobs : null,
				...(index === 0 && promptLogprobs ? { promptLogprobs } : {}),
			});
		this.#answers.end();
	}
}

/** Of an empty answer: less than of any other. */
function meanLogprob({ logprobs }: Candidate): number {
	if (logprobs.length === 0) return Number.NEGATIVE_INFINITY;
	return logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length;
}
