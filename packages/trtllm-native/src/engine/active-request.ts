// SPDX-License-Identifier: Apache-2.0
import type { NamedProcessor } from "@dyn/logits";
import type { EngineOutput, FinishReason, TokenLogprobs } from "@dyn/protocols";
import type { SampledToken, SamplerParams } from "../backend/forward-backend.js";
import type { Sequence } from "../scheduler/sequence.js";
import type { DeltaQueue } from "./delta-queue.js";

/** One choice: its sequence and what is needed to choose and judge its tokens. */
export interface Choice {
	readonly index: number;
	readonly sequence: Sequence;
	readonly params: SamplerParams;
	readonly processors: readonly NamedProcessor[];
}

/** A request between `generate` and its last output. */
export interface ActiveRequest {
	readonly id: string;
	readonly queue: DeltaQueue;
	/** Choices that have not ended. */
	readonly open: Map<Sequence, Choice>;
	readonly maxTokens: number;
	readonly eosTokenIds: ReadonlySet<number>;
	readonly stopTokenIds: ReadonlySet<number>;
	/** Set when the caller aborted or left; the loop ends the request before the next step. */
	cancelled: { readonly silent: boolean; readonly error?: unknown } | null;
}

/** The delta that a newly chosen token makes. End and stop ids end the choice and are not part of its text. */
export function outputOf(
	request: ActiveRequest,
	choice: Choice,
	token: SampledToken,
	contextLength: number,
): EngineOutput {
	const { sequence } = choice;
	const isEos = request.eosTokenIds.has(token.tokenId);
	const ends =
		(isEos || request.stopTokenIds.has(token.tokenId)) && sequence.generated >= choice.params.minTokens;
	if (!ends) sequence.tokens.push(token.tokenId);
	const full = sequence.generated >= request.maxTokens || sequence.tokens.length >= contextLength;
	const finishReason: FinishReason | null = ends ? (isEos ? "eos" : "stop") : full ? "length" : null;
	return {
		index: choice.index,
		tokenIds: ends ? [] : [token.tokenId],
		logprobs: choice.params.logprobs < 0 ? null : ends ? [] : [logprobsOf(token)],
		finishReason,
		stopTokenId: ends ? token.tokenId : null,
		usage: finishReason ? usageOf(sequence) : null,
	};
}

/** The terminal output of a choice that ends for another reason than its tokens. */
export function cancelledOutput({ index, sequence }: Choice): EngineOutput {
	return {
		index,
		tokenIds: [],
		logprobs: null,
		finishReason: "cancelled",
		stopTokenId: null,
		usage: usageOf(sequence),
	};
}

function usageOf(sequence: Sequence) {
	return {
		promptTokens: sequence.promptLength,
		completionTokens: sequence.generated,
		cachedTokens: sequence.cached,
	};
}

function logprobsOf({ tokenId, logprob, topIds, topLogprobs }: SampledToken): TokenLogprobs {
	return {
		tokenId,
		logprob,
		top: Array.from(topIds, (id, k) => ({ tokenId: id, logprob: topLogprobs[k]! })),
	};
}
