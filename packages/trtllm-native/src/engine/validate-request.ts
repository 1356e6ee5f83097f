// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import { checkFeatures, type RequestFeature } from "@dyn/engine";
import type { GenerateRequest } from "@dyn/protocols";
import type { ModelSpec } from "../model/model-spec.js";
import { MAX_LOGPROBS, type ResolvedSampling, resolveSampling } from "../sampling/resolve-sampling.js";

/** What this engine can do beyond what every engine can. */
export const FEATURES: readonly RequestFeature[] = [
	"logit_bias",
	"bad_words",
	"best_of",
	"logits_processors",
	"visible_stop_token_ids",
	"priority",
	"dp_rank",
	"cache_salt",
	"conversation_id", // one rank keeps every conversation, and RankedEngine each to a rank
];

/** What it can do besides when it knows the texts of the model's tokens. */
export const GUIDED_FEATURES: readonly RequestFeature[] = [
	"guided_json_schema",
	"guided_json_object",
	"guided_regex",
	"guided_grammar",
	"guided_structural_tag",
	"guided_choice",
];

/** A request that can be served, every default resolved. */
export interface ValidRequest {
	/** Most tokens per choice; prompt and these fit the context. */
	readonly maxTokens: number;
	readonly eosTokenIds: readonly number[];
	readonly stopTokenIds: readonly number[];
	/** Those of the above that are part of the output. */
	readonly visibleStopTokenIds: readonly number[];
	/** Alternatives per token of the prompt; null: its log-probabilities are not wanted. */
	readonly promptLogprobs: number | null;
	readonly sampling: ResolvedSampling;
}

/**
 * Checks a request against what the engine has loaded.
 * @param dpRank the engine's own
 * @throws DynError INVALID_ARGUMENT naming the field, UNIMPLEMENTED naming what this engine has not, CONTEXT_LENGTH_EXCEEDED
 * when prompt and completion can never fit.
 */
export function validateRequest(
	request: GenerateRequest,
	{ vocabSize, eosTokenIds }: Pick<ModelSpec, "vocabSize" | "eosTokenIds">,
	contextLength: number,
	dpRank: number,
	features: readonly RequestFeature[],
): ValidRequest {
	checkFeatures(request, features);
	const { tokenIds: prompt, stop, routing } = request;
	if (routing.dpRank !== null && routing.dpRank !== dpRank)
		throw invalidArgument("dp_rank", `dp_rank is ${routing.dpRank}, but this engine has rank ${dpRank} only`);
	if (prompt.length === 0)
		throw invalidArgument("prompt", "the prompt is empty: it needs at least one token");
	for (const id of prompt) {
		if (!isTokenId(id) || id >= vocabSize)
			throw invalidArgument(
				"prompt",
				`the prompt has the token id ${id}, which is not in the vocabulary of ${vocabSize}`,
			);
	}
	const stopTokenIds = [...stop.stopTokenIds, ...stop.visibleStopTokenIds];
	for (const id of stopTokenIds) {
		if (!isTokenId(id))
			throw invalidArgument("stop_token_ids", `stop_token_ids has ${id}, which is no token id`);
	}
	const { maxTokens } = stop;
	if (maxTokens !== null && !(Number.isSafeInteger(maxTokens) && maxTokens > 0))
		throw invalidArgument("max_tokens", `max_tokens must be a positive integer, got ${maxTokens}`);
	const room = contextLength - prompt.length;
	if (room < 1) {
		throw new DynError(
			"CONTEXT_LENGTH_EXCEEDED",
			`the prompt has ${prompt.length} tokens, but the context holds ${contextLength}; shorten it`,
			{ details: { param: "prompt" } },
		);
	}
	if (maxTokens !== null && maxTokens > room) {
		throw new DynError(
			"CONTEXT_LENGTH_EXCEEDED",
			`the prompt has ${prompt.length} tokens and max_tokens is ${maxTokens}, but the context holds ${contextLength}; shorten the prompt or ask for at most ${room}`,
			{ details: { param: "max_tokens" } },
		);
	}
	const ends = stop.ignoreEos ? [] : eosTokenIds;
	return {
		maxTokens: maxTokens ?? room,
		eosTokenIds: ends,
		stopTokenIds,
		visibleStopTokenIds: stop.visibleStopTokenIds,
		promptLogprobs: promptLogprobsOf(request),
		sampling: resolveSampling(request, vocabSize, [...ends, ...stopTokenIds]),
	};
}

function promptLogprobsOf({ output: { promptLogprobs: value } }: GenerateRequest): number | null {
	if (value === null || (Number.isInteger(value) && value >= 0 && value <= MAX_LOGPROBS)) return value;
	throw invalidArgument(
		"prompt_logprobs",
		`prompt_logprobs must be an integer between 0 and ${MAX_LOGPROBS}, got ${value}`,
	);
}

function isTokenId(id: number): boolean {
	return Number.isInteger(id) && id >= 0 && id < 2 ** 32;
}
