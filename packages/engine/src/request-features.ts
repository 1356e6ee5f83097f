// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { GenerateRequest } from "@dyn/protocols";

/** Name of something that an engine says it can do (`EngineCapabilities.features`); also names the field in errors. */
export type RequestFeature =
	| "logit_bias"
	| "bad_words"
	| "best_of"
	| "beam_search"
	| "length_penalty"
	| "visible_stop_token_ids"
	| "prompt_logprobs"
	| "logits_processors"
	| "guided_json_schema"
	| "guided_json_object"
	| "guided_regex"
	| "guided_grammar"
	| "guided_structural_tag"
	| "guided_choice"
	| "priority"
	| "dp_rank"
	| "cache_salt"
	| "bypass_prefix_cache"
	| "conversation_id"
	| "lora"
	| "image"
	| "video"
	| "audio"
	| "prefill"
	| "decode";

/** What a request may ask for and not every engine can do, and how a request asks for it. Everything else every engine does. */
const FEATURES: Readonly<Record<RequestFeature, (request: GenerateRequest) => boolean>> = {
	logit_bias: ({ sampling }) => sampling.logitBias !== null,
	bad_words: ({ sampling }) => sampling.badWords.length > 0,
	best_of: ({ sampling }) => sampling.bestOf !== null && sampling.bestOf !== (sampling.n ?? 1),
	beam_search: ({ sampling }) => sampling.beamWidth !== null,
	length_penalty: ({ sampling }) => sampling.lengthPenalty !== null && sampling.lengthPenalty !== 1,
	visible_stop_token_ids: ({ stop }) => stop.visibleStopTokenIds.length > 0,
	prompt_logprobs: ({ output }) => output.promptLogprobs !== null,
	logits_processors: ({ logitsProcessors }) => logitsProcessors.length > 0,
	guided_json_schema: ({ guided }) => guided?.kind === "json_schema",
	guided_json_object: ({ guided }) => guided?.kind === "json_object",
	guided_regex: ({ guided }) => guided?.kind === "regex",
	guided_grammar: ({ guided }) => guided?.kind === "grammar",
	guided_structural_tag: ({ guided }) => guided?.kind === "structural_tag",
	guided_choice: ({ guided }) => guided?.kind === "choice",
	// A canary is urgent where there is urgency; it must not fail where there is none.
	priority: ({ routing, healthCheck }) => (routing.priority ?? 0) !== 0 && !healthCheck,
	dp_rank: ({ routing }) => routing.dpRank !== null,
	cache_salt: ({ routing }) => routing.cacheSalt !== null,
	bypass_prefix_cache: ({ routing }) => routing.bypassPrefixCache,
	conversation_id: ({ routing }) => routing.conversationId !== null,
	lora: ({ lora }) => lora !== null,
	image: ({ media }) => media.some(({ modality }) => modality === "image"),
	video: ({ media }) => media.some(({ modality }) => modality === "video"),
	audio: ({ media }) => media.some(({ modality }) => modality === "audio"),
	prefill: ({ disaggregation }) => disaggregation?.role === "prefill",
	decode: ({ disaggregation }) => disaggregation?.role === "decode",
};

export const REQUEST_FEATURES: readonly RequestFeature[] = Object.keys(FEATURES) as RequestFeature[];

/** What of the above `request` asks for. */
export function requestedFeatures(request: GenerateRequest): readonly RequestFeature[] {
	return REQUEST_FEATURES.filter((name) => FEATURES[name](request));
}

/**
 * Refuses what an engine cannot honour, so that nothing of a request is dropped in silence.
 * @param supported the engine's `EngineCapabilities.features`
 * @throws DynError UNIMPLEMENTED naming the first such field
 */
export function checkFeatures(request: GenerateRequest, supported: readonly RequestFeature[]): void {
	const missing = requestedFeatures(request).find((name) => !supported.includes(name));
	if (missing === undefined) return;
	throw new DynError(
		"UNIMPLEMENTED",
		`${missing} is not supported by this engine; leave it out, or send the request to an engine that has it`,
		{ details: { param: missing } },
	);
}
