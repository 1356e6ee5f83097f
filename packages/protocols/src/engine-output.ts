// SPDX-License-Identifier: Apache-2.0
import type { KvSession } from "./kv-session.js";

/**
 * Why a choice ended. `eos`: the model's end-of-sequence id; `stop`: a stop id of the request;
 * `length`: maxTokens or the context is used up; `cancelled`: the caller went away.
 * Failures are thrown as DynError, never reported as a finish reason.
 */
export type FinishReason = "eos" | "stop" | "length" | "cancelled";

export interface TokenLogprob {
	readonly tokenId: number;
	/** Natural logarithm of the probability after penalties and bias, before temperature and truncation. */
	readonly logprob: number;
}

export interface TokenLogprobs extends TokenLogprob {
	/** Most likely first; empty unless alternatives were asked for. */
	readonly top: readonly TokenLogprob[];
}

export interface Usage {
	readonly promptTokens: number;
	readonly completionTokens: number;
	/** Prompt tokens whose KV blocks were reused. */
	readonly cachedTokens: number;
}

/** One delta of one choice. */
export interface EngineOutput {
	/** Choice, 0..n-1. */
	readonly index: number;
	/** New tokens since the last delta of this choice. */
	readonly tokenIds: readonly number[];
	/** One entry per token id, or null when not asked for. */
	readonly logprobs: readonly TokenLogprobs[] | null;
	/** Set on the last delta of the choice and only there. */
	readonly finishReason: FinishReason | null;
	/** The id that ended the choice, for `stop` and `eos`. */
	readonly stopTokenId: number | null;
	/** Set together with `finishReason`; counts this choice. */
	readonly usage: Usage | null;
	/** On the first delta of choice 0 when asked for: one entry per prompt token; null for the first, which follows nothing. */
	readonly promptLogprobs?: readonly (TokenLogprobs | null)[];
	/** On the last delta of a request for prefill alone: where the prompt's KV blocks wait. */
	readonly kvSession?: KvSession;
}
