// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { RequestFeature } from "@dyn/engine";
import type { GenerateRequest, GuidedDecoding } from "@dyn/protocols";
import type { DisaggregationMode } from "../../disaggregation-mode.js";
import type { EngineProtocol } from "../../serve/serve-options.js";
import { checkHandoff } from "./handoff.js";

export type GuidedDecodingBackend = "xgrammar" | "llguidance";

/** What a TensorRT-LLM was started as, where it does not say so itself. */
export interface RequestRules {
	/** Default "openengine". The adapters of the others say themselves what theirs has no word for. */
	readonly protocol?: EngineProtocol | undefined;
	/** Default "agg". Its OpenEngine server has no role: every request says what it is. */
	readonly mode?: DisaggregationMode | undefined;
	/** What compiles guides. Default: what the engine reports. */
	readonly guidedDecodingBackend?: GuidedDecodingBackend | undefined;
	/** Who chooses the rank of a conversation's requests: "engine" keeps one on a rank by itself. Default: nobody but the request. */
	readonly conversationAffinity?: "engine" | "dynamo" | undefined;
	/** Whether the engine runs with TLLM_ALLOW_N_GREEDY_DECODING=1. Default false. */
	readonly allowGreedyChoices?: boolean | undefined;
}

/** Stop conditions that the engine takes in one request (TensorRT-LLM's OpenEngine server). */
export const MAX_STOP_CONDITIONS = 64;

const EVERY_BACKEND: readonly RequestFeature[] = [
	"guided_json_schema",
	"guided_json_object",
	"guided_regex",
	"guided_grammar",
];

/** What an engine can do because of how it was started. */
export function startedFeatures({ mode, guidedDecodingBackend }: RequestRules): readonly RequestFeature[] {
	return [
		...(mode === "prefill" || mode === "decode" ? ([mode] as const) : []),
		...(guidedDecodingBackend ? EVERY_BACKEND : []),
		...(guidedDecodingBackend === "xgrammar" ? (["guided_structural_tag"] as const) : []),
	];
}

/**
 * The request as TensorRT-LLM takes it; what its protocol has no word for is said in another way or refused.
 * @throws DynError INVALID_ARGUMENT or UNIMPLEMENTED, before anything reaches the engine
 */
export function prepareRequest(request: GenerateRequest, rules: RequestRules): GenerateRequest {
	const { sampling, stop, guided, disaggregation } = request;
	if (request.tokenIds.length === 0)
		throw invalidArgument("token_ids", "token_ids is empty; send at least one token");
	if (sampling.topK !== null && sampling.topK < -1)
		throw invalidArgument(
			"top_k",
			`top_k is ${sampling.topK}; use -1 or 0 for all tokens, or a positive number`,
		);
	const choices = sampling.n ?? 1;
	if (choices > 1 && isGreedy(request) && !rules.allowGreedyChoices)
		throw new DynError(
			"UNIMPLEMENTED",
			`n is ${choices}, and the engine refuses several choices of greedy decoding; raise temperature, or start the engine with TLLM_ALLOW_N_GREEDY_DECODING=1`,
			{ details: { param: "n" } },
		);
	const { routing } = request;
	if (rules.conversationAffinity === "engine" && routing.conversationId !== null && routing.dpRank !== null)
		return prepareRequest({ ...request, routing: { ...routing, dpRank: null } }, rules);
	if (rules.protocol === "smg" || rules.protocol === "http") return request;
	if (guided && request.resumedTokens > 0)
		throw new DynError(
			"UNIMPLEMENTED",
			"the engine cannot go on in the middle of a guided answer: it would begin its grammar anew",
			{ details: { param: "guided_decoding" } },
		);
	if (disaggregation?.role === "decode") checkHandoff(disaggregation.session);
	const stops = new Set([...stop.stopTokenIds, ...stop.visibleStopTokenIds]);
	if (stops.size > MAX_STOP_CONDITIONS)
		throw invalidArgument(
			"stop_token_ids",
			`the request has ${stops.size} stop ids, and the engine takes ${MAX_STOP_CONDITIONS}; send fewer`,
		);
	return {
		...request,
		guided: guided?.kind === "choice" ? choiceAsRegex(guided) : guided,
		// One switch of the engine decides for all of them: who asked for both kinds gets the hidden one cut off here.
		stop:
			stop.visibleStopTokenIds.length === 0
				? stop
				: { ...stop, stopTokenIds: [], visibleStopTokenIds: [...stops] },
	};
}

/** The engine's own idea of it: temperature 0, or no more than one candidate. */
function isGreedy({ sampling }: GenerateRequest): boolean {
	return sampling.temperature === 0 || sampling.topK === 1;
}

/** No backend of TensorRT-LLM knows `choice`; Dynamo says it as a regular expression too. */
function choiceAsRegex({ choices }: Extract<GuidedDecoding, { kind: "choice" }>): GuidedDecoding {
	if (choices.length === 0)
		throw invalidArgument(
			"guided_decoding.choice",
			"guided_decoding.choice is empty; give at least one text",
		);
	return { kind: "regex", pattern: `(${choices.map(literally).join("|")})` };
}

const literally = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
