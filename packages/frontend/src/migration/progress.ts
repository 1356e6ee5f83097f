// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";

/**
 * What came of one request so far, over all instances that worked on it, and what is left to ask for. An instance that
 * takes over gets prompt and tokens as its prompt, so what it says of tokens is put back into terms of the first one.
 */
export class Progress {
	readonly #request: GenerateRequest;
	readonly #resumesGuided: boolean;
	readonly #choices: number;
	/** Tokens of the only choice; of several choices nobody can continue, so their tokens are only counted. */
	readonly #tokenIds: number[] = [];
	readonly #finished = new Set<number>();
	#tokens = 0;
	/** Tokens that came before the present instance. */
	#inherited = 0;
	#cachedTokens = 0;

	/** @param resumesGuided whether those who serve the model go on with a constraint where another instance was */
	constructor(request: GenerateRequest, resumesGuided: boolean) {
		this.#request = request;
		this.#resumesGuided = resumesGuided;
		this.#choices = request.sampling.n ?? 1;
	}

	/** Whether a token came. */
	get began(): boolean {
		return this.#tokens > 0;
	}

	/** Whether every choice has had its finish reason. */
	get finished(): boolean {
		return this.#finished.size >= this.#choices;
	}

	/** Tokens of the prompt and of the answer. */
	get sequenceLength(): number {
		return this.#request.tokenIds.length + this.#tokens;
	}

	/**
	 * Whether what came can be handed on. Before the first token that is nothing. After it, choices, candidates and beams
	 * of one request are not continued, nor what keeps state from an answer's beginning on, which died with the
	 * instance: logits processors, and constraints unless they can be replayed.
	 */
	get continuable(): boolean {
		if (!this.began) return true;
		const { sampling, logitsProcessors, guided } = this.#request;
		const isOnly = this.#choices === 1 && (sampling.bestOf ?? 1) === 1 && sampling.beamWidth === null;
		return isOnly && logitsProcessors.length === 0 && (guided === null || this.#resumesGuided);
	}

	/** Whether the only choice has all the tokens that it may have and lacks nothing but its finish reason. */
	isFull(contextLength: number): boolean {
		const { maxTokens } = this.#request.stop;
		return (
			this.#choices === 1 &&
			this.began &&
			(this.#tokens >= (maxTokens ?? Number.POSITIVE_INFINITY) || this.sequenceLength === contextLength)
		);
	}

	/** Notes an output of the present instance and returns it as if the first one had sent it. */
	take(output: EngineOutput): EngineOutput {
		this.#tokens += output.tokenIds.length;
		if (this.#choices === 1) for (const id of output.tokenIds) this.#tokenIds.push(id);
		if (output.finishReason !== null) this.#finished.add(output.index);
		const { usage } = output;
		if (usage === null) return output;
		if (this.#inherited === 0) {
			this.#cachedTokens = usage.cachedTokens;
			return output;
		}
		return {
			...output,
			usage: {
				promptTokens: usage.promptTokens - this.#inherited,
				completionTokens: usage.completionTokens + this.#inherited,
				cachedTokens: this.#cachedTokens,
			},
		};
	}

	/** The request that the next instance gets: the tokens that came are its prompt's end, and marked as an answer's. */
	handOver(): GenerateRequest {
		this.#inherited = this.#tokens;
		if (!this.began) return this.#request;
		const { tokenIds, resumedTokens, stop } = this.#request;
		const sequence = new Uint32Array(this.sequenceLength);
		sequence.set(tokenIds);
		sequence.set(this.#tokenIds, tokenIds.length);
		const left = (tokens: number | null) => (tokens === null ? null : Math.max(0, tokens - this.#tokens));
		return {
			...this.#request,
			tokenIds: sequence,
			resumedTokens: resumedTokens + this.#tokens,
			stop: { ...stop, maxTokens: left(stop.maxTokens), minTokens: left(stop.minTokens) },
		};
	}

	/** The end of a choice that `isFull`. */
	lengthEnd(): EngineOutput {
		this.#finished.add(0);
		return {
			index: 0,
			tokenIds: [],
			logprobs: this.#request.output.logprobs === null ? null : [],
			finishReason: "length",
			stopTokenId: null,
			usage: {
				promptTokens: this.#request.tokenIds.length,
				completionTokens: this.#tokens,
				cachedTokens: this.#cachedTokens,
			},
		};
	}
}
