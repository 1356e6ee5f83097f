// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { GenerateRequest, GuidedDecoding } from "@dyn/protocols";
import { choicePattern, type RequestTerms, stopIdsOf } from "../client/request-terms.js";
import { fromKvSession } from "./disaggregated-params.js";
import type { JsonObject } from "./http-connection.js";

/** A LoRA adapter that the server can load or has loaded. */
export interface HttpLora {
	readonly id: number;
	/** Where the server finds it. */
	readonly path: string;
}

export interface CompletionContext {
	readonly model: string;
	readonly terms: RequestTerms;
	readonly loras: ReadonlyMap<string, HttpLora>;
	/** Whether the server's queue knows priorities. */
	readonly hasPriority: boolean;
}

/**
 * The body of `POST /v1/completions`. What it cannot say has been refused by `checkFeatures`; texts at which to stop are
 * not sent: with `detokenize: false` the server knows no text, and the caller ends there itself.
 * @throws DynError UNIMPLEMENTED, INVALID_ARGUMENT, NOT_FOUND
 */
export function toCompletionRequest(
	request: GenerateRequest,
	{ model, terms, loras, hasPriority }: CompletionContext,
): JsonObject {
	const { tokenIds, sampling, stop, output, routing, guided, lora, disaggregation } = request;
	if ((output.logprobs ?? 0) > 0)
		throw new DynError(
			"UNIMPLEMENTED",
			"alternatives to a token (logprobs above 0) are not supported here: the server names them by their text, not by their id; ask for the token's own log-probability, or use an engine over gRPC",
			{ details: { param: "logprobs" } },
		);
	const isPrefill = disaggregation?.role === "prefill";
	const streams = !isPrefill && sampling.beamWidth === null;
	return withoutUndefined({
		model,
		prompt: Array.from(tokenIds),
		detokenize: false,
		stream: streams,
		stream_options: streams ? { include_usage: true } : undefined,
		max_tokens: isPrefill ? 1 : terms.maxTokens,
		min_tokens: stop.minTokens ?? undefined,
		n: terms.choices,
		// All three absent would mean greedy to TensorRT-LLM.
		temperature: sampling.temperature ?? 1,
		top_p: sampling.topP ?? 1,
		top_k: Math.max(0, sampling.topK ?? 0),
		min_p: sampling.minP ?? undefined,
		presence_penalty: sampling.presencePenalty ?? undefined,
		frequency_penalty: sampling.frequencyPenalty ?? undefined,
		repetition_penalty: sampling.repetitionPenalty ?? undefined,
		seed: sampling.seed ?? undefined,
		logit_bias: sampling.logitBias ? Object.fromEntries(sampling.logitBias) : undefined,
		use_beam_search: sampling.beamWidth === null ? undefined : true,
		best_of: sampling.beamWidth ?? sampling.bestOf ?? undefined,
		length_penalty: sampling.lengthPenalty ?? undefined,
		stop_token_ids: stopIdsOf(terms),
		include_stop_str_in_output: terms.showsStopTokens,
		ignore_eos: stop.ignoreEos,
		// 0 would mean none; the alternative that comes with 1 is not used.
		logprobs: output.logprobs === null ? undefined : 1,
		response_format: guided ? responseFormat(guided) : undefined,
		lora_request: lora === null ? undefined : loraRequest(lora, loras),
		priority: hasPriority ? priorityOf(request) : undefined,
		conversation_params:
			routing.conversationId === null ? undefined : { conversation_id: routing.conversationId },
		disaggregated_params:
			disaggregation === null
				? undefined
				: disaggregation.role === "prefill"
					? { request_type: "context_only" }
					: fromKvSession(disaggregation.session),
	});
}

/** A canary must not wait behind traffic (Dynamo's are sent with 1 too). */
function priorityOf({ routing, healthCheck }: GenerateRequest): number | undefined {
	if (healthCheck) return 1;
	return routing.priority ? urgency(routing.priority) : undefined;
}

/** An integer priority as TensorRT-LLM's 0..1, 0.5 being normal (Dynamo's mapping). */
export function urgency(priority: number): number {
	const limit = 2 ** 22;
	return 0.5 + Math.min(limit, Math.max(-limit, priority)) / 2 ** 24;
}

function responseFormat(guided: GuidedDecoding): JsonObject {
	switch (guided.kind) {
		case "json_schema":
			return { type: "json", schema: parsed(guided.schema, "guided_json_schema") };
		case "json_object":
			return { type: "json_object" };
		case "regex":
			return { type: "regex", regex: guided.pattern };
		case "grammar":
			return { type: "ebnf", ebnf: guided.ebnf };
		case "structural_tag":
			return { ...parsed(guided.tag, "guided_structural_tag"), type: "structural_tag" };
		case "choice":
			return { type: "regex", regex: choicePattern(guided.choices) };
	}
}

function parsed(text: string, param: string): JsonObject {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
	} catch {
		// said below
	}
	throw invalidArgument(param, `${param} is no JSON object`);
}

function loraRequest(name: string, loras: ReadonlyMap<string, HttpLora>): JsonObject {
	const lora = loras.get(name);
	if (lora) return { lora_name: name, lora_int_id: lora.id, lora_path: lora.path };
	throw new DynError(
		"NOT_FOUND",
		`there is no LoRA adapter ${JSON.stringify(name)}; known are ${[...loras.keys()].join(", ")}`,
		{
			details: { param: "lora" },
		},
	);
}

/** The server refuses fields that it does not know, so none is sent without need. */
function withoutUndefined(fields: JsonObject): JsonObject {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
