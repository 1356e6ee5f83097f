// SPDX-License-Identifier: Apache-2.0
import {
	createGenerateRequest,
	type GenerateRequest,
	type LogitsProcessorRequest,
} from "../generate-request.js";
import { PlainData } from "./plain-data.js";

/** Marks a canary: Dynamo's health payloads carry it, whatever its value. */
const HEALTH_CHECK = "_HEALTH_CHECK";

/** A request as Dynamo's `PreprocessedRequest`. What Dynamo has no field for travels in `extra_args.dyn`. */
export function encodePreprocessedRequest(request: GenerateRequest): Record<string, unknown> {
	const { sampling, stop, output, routing } = request;
	const extra = {
		...(sampling.logitBias ? { logit_bias: [...sampling.logitBias] } : {}),
		...(request.logitsProcessors.length > 0 ? { logits_processors: request.logitsProcessors } : {}),
	};
	return {
		model: request.model,
		token_ids: Array.isArray(request.tokenIds) ? request.tokenIds : [...request.tokenIds],
		stop_conditions: {
			max_tokens: stop.maxTokens,
			stop: null,
			stop_token_ids: null,
			stop_token_ids_visible: null,
			stop_token_ids_hidden: stop.stopTokenIds,
			min_tokens: stop.minTokens,
			ignore_eos: stop.ignoreEos ? true : null,
			max_thinking_tokens: null,
		},
		sampling_options: {
			n: sampling.n,
			best_of: null,
			presence_penalty: sampling.presencePenalty,
			frequency_penalty: sampling.frequencyPenalty,
			repetition_penalty: sampling.repetitionPenalty,
			temperature: sampling.temperature,
			top_p: sampling.topP,
			top_k: sampling.topK,
			min_p: sampling.minP,
			use_beam_search: null,
			length_penalty: null,
			seed: sampling.seed,
			include_stop_str_in_output: null,
			guided_decoding: null,
		},
		output_options: {
			logprobs: output.logprobs,
			prompt_logprobs: null,
			skip_special_tokens: null,
			formatted_prompt: null,
			return_tokens_as_token_ids: null,
		},
		eos_token_ids: request.eosTokenIds,
		mdc_sum: null,
		annotations: [],
		routing: {
			...(routing.dpRank === null ? {} : { dp_rank: routing.dpRank }),
			...(routing.cacheSalt === null ? {} : { cache_salt: routing.cacheSalt }),
			...(routing.priority === null ? {} : { priority: routing.priority }),
		},
		router_config_override: null,
		...(Object.keys(extra).length > 0 ? { extra_args: { dyn: extra } } : {}),
		...(request.healthCheck ? { [HEALTH_CHECK]: true } : {}),
	};
}

/** @throws DynError INVALID_ARGUMENT naming the field that has a wrong type or is missing */
export function decodePreprocessedRequest(data: unknown): GenerateRequest {
	const request = new PlainData(data, "request");
	const stop = request.object("stop_conditions");
	const sampling = request.object("sampling_options");
	const routing = request.object("routing");
	const extra = request.object("extra_args").object("dyn");
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
		},
		stop: {
			maxTokens: stop.number("max_tokens"),
			minTokens: stop.number("min_tokens"),
			stopTokenIds: [...new Set([...(stop.tokenIds("stop_token_ids") ?? []), ...hidden])],
			ignoreEos,
		},
		output: { logprobs: request.object("output_options").number("logprobs") },
		routing: {
			dpRank: routing.number("dp_rank"),
			cacheSalt: routing.string("cache_salt"),
			priority: routing.number("priority"),
		},
		logitsProcessors: (extra.array("logits_processors") ?? []).map(logitsProcessor),
		healthCheck: request.has(HEALTH_CHECK),
	});
}

function logitBias(entries: readonly unknown[] | null): ReadonlyMap<number, number> | null {
	return entries === null ? null : new Map(entries as [number, number][]);
}

function logitsProcessor(data: unknown): LogitsProcessorRequest {
	const fields = new PlainData(data, "logits_processors[]");
	return { name: fields.required("name", fields.string("name")), args: fields.raw("args") };
}
