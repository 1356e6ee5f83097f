// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import {
	createGenerateRequest,
	type GenerateRequest,
	type LogitsProcessorRequest,
} from "../generate-request.js";
import type { Disaggregation } from "../kv-session.js";
import { decodeGuidedDecoding, encodeGuidedDecoding } from "./guided-decoding.js";
import { decodeKvSession, encodeKvSession } from "./kv-session.js";
import { decodeMedia, encodeMedia } from "./media.js";
import { isTokenIds, PlainData } from "./plain-data.js";

/** Marks a canary: Dynamo's health payloads carry it, whatever its value. */
const HEALTH_CHECK = "_HEALTH_CHECK";

/** An annotation that asks a decode worker to do the prefill itself (Dynamo's conditional disaggregation). */
const BYPASS_REMOTE_PREFILL = "x-bypass-remote-prefill";

/** A request as Dynamo's `PreprocessedRequest`. What Dynamo has no field for travels in `extra_args.dyn`. */
export function encodePreprocessedRequest(request: GenerateRequest): Record<string, unknown> {
	const { sampling, stop, output, routing, disaggregation, guided } = request;
	const extra = {
		...(sampling.logitBias ? { logit_bias: [...sampling.logitBias] } : {}),
		...(request.logitsProcessors.length > 0 ? { logits_processors: request.logitsProcessors } : {}),
		...(sampling.beamWidth === null ? {} : { beam_width: sampling.beamWidth }),
		...(request.resumedTokens > 0 ? { resumed_tokens: request.resumedTokens } : {}),
		...(routing.bypassPrefixCache ? { bypass_prefix_cache: true } : {}),
	};
	return {
		model: request.model,
		token_ids: Array.isArray(request.tokenIds) ? request.tokenIds : [...request.tokenIds],
		stop_conditions: {
			max_tokens: stop.maxTokens,
			stop: stop.stopStrings.length > 0 ? stop.stopStrings : null,
			stop_token_ids: null,
			stop_token_ids_visible: stop.visibleStopTokenIds.length > 0 ? stop.visibleStopTokenIds : null,
			stop_token_ids_hidden: stop.stopTokenIds,
			min_tokens: stop.minTokens,
			ignore_eos: stop.ignoreEos ? true : null,
			max_thinking_tokens: null,
		},
		sampling_options: {
			n: sampling.n,
			best_of: sampling.bestOf,
			presence_penalty: sampling.presencePenalty,
			frequency_penalty: sampling.frequencyPenalty,
			repetition_penalty: sampling.repetitionPenalty,
			temperature: sampling.temperature,
			top_p: sampling.topP,
			top_k: sampling.topK,
			min_p: sampling.minP,
			use_beam_search: sampling.beamWidth === null ? null : true,
			length_penalty: sampling.lengthPenalty,
			seed: sampling.seed,
			include_stop_str_in_output: null,
			guided_decoding: guided === null ? null : encodeGuidedDecoding(guided),
			...(sampling.badWords.length > 0 ? { bad_words_token_ids: sampling.badWords } : {}),
		},
		output_options: {
			logprobs: output.logprobs,
			prompt_logprobs: output.promptLogprobs,
			skip_special_tokens: null,
			formatted_prompt: null,
			return_tokens_as_token_ids: null,
		},
		eos_token_ids: request.eosTokenIds,
		mdc_sum: null,
		annotations: routing.bypassRemotePrefill ? [BYPASS_REMOTE_PREFILL] : [],
		routing: {
			...(routing.dpRank === null ? {} : { dp_rank: routing.dpRank }),
			...(routing.cacheSalt === null ? {} : { cache_salt: routing.cacheSalt }),
			...(routing.priority === null ? {} : { priority: routing.priority }),
			...(request.lora === null ? {} : { lora_name: request.lora }),
		},
		router_config_override: null,
		...(disaggregation?.role === "decode"
			? { prefill_result: { disaggregated_params: encodeKvSession(disaggregation.session) } }
			: {}),
		...(request.media.length > 0 ? { multi_modal_data: encodeMedia(request.media) } : {}),
		...(routing.conversationId === null ? {} : { agent_context: { session_id: routing.conversationId } }),
		...(Object.keys(extra).length > 0 ? { extra_args: { dyn: extra } } : {}),
		...(request.healthCheck ? { [HEALTH_CHECK]: true } : {}),
	};
}

/**
 * Whether a worker is to do the prefill is its own role, not said in the request; a request that brings the result of a
 * prefill is one for decode.
 * @throws DynError INVALID_ARGUMENT naming the field that has a wrong type or is missing
 */
export function decodePreprocessedRequest(data: unknown): GenerateRequest {
	const request = new PlainData(data, "request");
	const stop = request.object("stop_conditions");
	const sampling = request.object("sampling_options");
	const routing = request.object("routing");
	const extra = request.object("extra_args").object("dyn");
	refuse(request, "prompt_embeds");
	refuse(stop, "max_thinking_tokens");
	const ignoreEos = stop.boolean("ignore_eos") ?? false;
	const eosTokenIds = request.tokenIds("eos_token_ids") ?? [];
	// Frontends of Dynamo put the model's own end ids among the hidden stop ids.
	const hidden = (stop.tokenIds("stop_token_ids_hidden") ?? []).filter(
		(id) => !(ignoreEos && eosTokenIds.includes(id)),
	);
	const seed = sampling.integer("seed");
	return createGenerateRequest({
		model: request.string("model") ?? "",
		tokenIds: request.required("token_ids", request.tokenIds("token_ids")),
		resumedTokens: extra.number("resumed_tokens") ?? 0,
		eosTokenIds,
		sampling: {
			n: sampling.number("n"),
			temperature: sampling.number("temperature"),
			topP: sampling.number("top_p"),
			topK: sampling.number("top_k"),
			minP: sampling.number("min_p"),
			presencePenalty: sampling.number("presence_penalty"),
			frequencyPenalty: sampling.number("frequency_penalty"),
			repetitionPenalty: sampling.number("repetition_penalty"),
			seed: seed === null ? null : Number(BigInt.asIntN(53, seed)),
			logitBias: logitBias(extra.array("logit_bias")),
			badWords: badWords(sampling),
			bestOf: sampling.number("best_of"),
			beamWidth: beamWidth(sampling, extra),
			lengthPenalty: sampling.number("length_penalty"),
		},
		stop: {
			maxTokens: stop.number("max_tokens"),
			minTokens: stop.number("min_tokens"),
			stopTokenIds: [...new Set([...(stop.tokenIds("stop_token_ids") ?? []), ...hidden])],
			visibleStopTokenIds: stop.tokenIds("stop_token_ids_visible") ?? [],
			stopStrings: stop.strings("stop") ?? [],
			ignoreEos,
		},
		output: {
			logprobs: request.object("output_options").number("logprobs"),
			promptLogprobs: request.object("output_options").number("prompt_logprobs"),
		},
		routing: {
			dpRank: routing.number("dp_rank"),
			cacheSalt: routing.string("cache_salt"),
			priority: routing.number("priority"),
			bypassPrefixCache: extra.boolean("bypass_prefix_cache") ?? false,
			conversationId: request.object("agent_context").string("session_id"),
			bypassRemotePrefill: request.strings("annotations")?.includes(BYPASS_REMOTE_PREFILL) ?? false,
		},
		logitsProcessors: (extra.array("logits_processors") ?? []).map(logitsProcessor),
		guided: decodeGuidedDecoding(sampling.object("guided_decoding")),
		lora: routing.string("lora_name"),
		media: decodeMedia(request.object("multi_modal_data")),
		disaggregation: disaggregation(request.object("prefill_result")),
		healthCheck: request.has(HEALTH_CHECK),
	});
}

/** No engine here has it: better no answer than one to another question. */
function refuse(fields: PlainData, name: string): void {
	if (!fields.has(name)) return;
	throw new DynError("UNIMPLEMENTED", `${fields.where}.${name} is not supported; leave it out`, {
		details: { param: name },
	});
}

/** The standard request says only that there are beams; as many as choices then. */
function beamWidth(sampling: PlainData, extra: PlainData): number | null {
	if (!sampling.boolean("use_beam_search")) return null;
	return extra.number("beam_width") ?? sampling.number("best_of") ?? sampling.number("n") ?? 1;
}

function disaggregation(prefillResult: PlainData): Disaggregation | null {
	if (!prefillResult.has("disaggregated_params")) return null;
	const where = `${prefillResult.where}.disaggregated_params`;
	return { role: "decode", session: decodeKvSession(prefillResult.raw("disaggregated_params"), where) };
}

function badWords(sampling: PlainData): readonly (readonly number[])[] {
	const words = sampling.array("bad_words_token_ids") ?? [];
	if (words.every(isTokenIds)) return words;
	throw new DynError("INVALID_ARGUMENT", `${sampling.where}.bad_words_token_ids must be arrays of token ids`);
}

/** Pairs of token id and bias. */
function logitBias(entries: readonly unknown[] | null): ReadonlyMap<number, number> | null {
	if (entries === null) return null;
	for (const entry of entries) {
		const [id, bias] = Array.isArray(entry) && entry.length === 2 ? entry : [];
		if (typeof id === "number" && id >>> 0 === id && typeof bias === "number") continue;
		throw new DynError(
			"INVALID_ARGUMENT",
			"request.extra_args.dyn.logit_bias must be pairs of token id and number",
		);
	}
	return new Map(entries as [number, number][]);
}

function logitsProcessor(data: unknown): LogitsProcessorRequest {
	const fields = new PlainData(data, "logits_processors[]");
	return { name: fields.required("name", fields.string("name")), args: fields.raw("args") };
}
