// SPDX-License-Identifier: Apache-2.0
import type { NamedProcessor } from "@dyn/logits";
import type { EngineOutput, FinishReason, TokenLogprobs, Usage } from "@dyn/protocols";
import type { SampledToken, SamplerParams } from "../backend/forward-backend.js";
import type { Sequence } from "../scheduler/sequence.js";
import type { GuidedChoice } from "./guided-choice.js";
import type { Pooler } from "./pooler.js";
import type { PromptScores } from "./prompt-scores.js";

/** One choice: its sequence and what is needed to choose and judge its tokens. */
export interface Choice {
	readonly request: ActiveRequest;
	readonly index: number;
	readonly sequence: Sequence;
	readonly params: SamplerParams;
	readonly processors: readonly NamedProcessor[];
	/** Keeps the answer within a schema, an expression or a grammar. */
	readonly guide?: GuidedChoice | undefined;
	/** Gathers the log-probabilities of the prompt, which come with the first token. */
	readonly promptScores?: PromptScores | undefined;
	/** For an embedding: takes the hidden states of the sequence, of which no token is chosen. */
	readonly pooler?: Pooler;
}

/** Why a request ends before its tokens say so: with `cancelled` outputs, with nothing, or with an error. */
export type Cancellation =
	| { readonly how: "reported" }
	| { readonly how: "silent" }
	| { readonly how: "failed"; readonly error: unknown };

/** Where the outputs of a request go. */
export interface Answers {
	push(output: EngineOutput): void;
	/** Ends with an error, after what was pushed. */
	fail(error: unknown): void;
	end(): void;
}

/** A request between `generate` and its last output. */
export interface ActiveRequest {
	readonly queue: Answers;
	/** Choices that have not ended. */
	readonly open: Set<Choice>;
	readonly maxTokens: number;
	readonly eosTokenIds: ReadonlySet<number>;
	readonly stopTokenIds: ReadonlySet<number>;
	/** Those of the above that are part of the output. */
	readonly visibleStopTokenIds: ReadonlySet<number>;
	/** Set once; the loop ends the request when no step needs it any more. */
	cancellation: Cancellation | null;
	/** Called once, when no choice is left. */
	onEnd(): void;
}

/** Records a newly chosen token and says what the caller hears of it. End and stop ids end the choice and are not part of its text, unless they are visible ones. */
export function takeToken(choice: Choice, token: SampledToken): EngineOutput {
	const { request, index, sequence, params, promptScores } = choice;
	const isFirst = sequence.generated === 0;
	const isEos = request.eosTokenIds.has(token.tokenId);
	const ends = (isEos || request.stopTokenIds.has(token.tokenId)) && sequence.answered >= params.minTokens;
	const shown = !ends || request.visibleStopTokenIds.has(token.tokenId);
	if (shown) sequence.tokens.push(token.tokenId);
	const full = sequence.generated >= request.maxTokens;
	const finishReason: FinishReason | null = ends ? (isEos ? "eos" : "stop") : full ? "length" : null;
	return {
		index,
		tokenIds: shown ? [token.tokenId] : [],
		logprobs: params.logprobs < 0 ? null : shown ? [logprobsOf(token)] : [],
		finishReason,
		stopTokenId: ends ? token.tokenId : null,
		usage: finishReason ? usageOf(sequence) : null,
		...(isFirst && promptScores ? { promptLogprobs: promptScores.take() } : {}),
	};
}

/** The last output of a choice whose guide lets nothing follow. */
export function endedOutput(choice: Choice): EngineOutput {
	return { ...cancelledOutput(choice), finishReason: "stop" };
}

/** The last output of a choice whose caller went away. */
export function cancelledOutput({ index, sequence, params }: Choice): EngineOutput {
	return {
		index,
		tokenIds: [],
		logprobs: params.logprobs < 0 ? null : [],
		finishReason: "cancelled",
		stopTokenId: null,
		usage: usageOf(sequence),
	};
}

function usageOf(sequence: Sequence): Usage {
	return {
		promptTokens: sequence.promptLength,
		completionTokens: sequence.generated,
		cachedTokens: sequence.cached,
	};
}

export function logprobsOf({ tokenId, logprob, topIds, topLogprobs }: SampledToken): TokenLogprobs {
	return {
		tokenId,
		logprob,
		top: Array.from(topIds, (id, k) => ({ tokenId: id, logprob: topLogprobs[k]! })),
	};
}
