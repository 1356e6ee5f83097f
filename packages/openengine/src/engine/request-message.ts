// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { GenerateRequest, GuidedDecoding, MediaItem } from "@dyn/protocols";
import * as m from "../generated/messages.js";
import type { JsonObject } from "../json-object.js";
import type { MessageInit } from "../message-init.js";
import { toSessionMessage } from "../session-message.js";
import type { OpenEngineDialect } from "./dialect.js";

export interface RequestMessageOptions {
	readonly requestId: string;
	/** The model's name at the server. */
	readonly model: string;
	/** Most tokens of prompt plus completion. */
	readonly contextLength: number;
	readonly dialect: OpenEngineDialect;
}

/**
 * OpenEngine's request for ours. Texts to stop at are not sent: they are a hint, and who asks looks for them itself.
 * @throws DynError INVALID_ARGUMENT for what the message cannot hold
 */
export function toRequestMessage(
	request: GenerateRequest,
	{ requestId, model, contextLength, dialect }: RequestMessageOptions,
): MessageInit<m.GenerateRequest> {
	const { sampling, stop, routing, guided, disaggregation } = request;
	const extra = extraOf(request, dialect);
	const isPrefill = disaggregation?.role === "prefill";
	const session = disaggregation?.role === "decode" ? toSessionMessage(disaggregation.session) : undefined;
	return {
		requestId,
		model,
		tokenIds: { ids: request.tokenIds as readonly number[] },
		sampling: {
			temperature: sampling.temperature ?? undefined,
			topP: sampling.topP ?? undefined,
			// All tokens is what the absent value means; engines disagree on how else to say it.
			topK: sampling.topK !== null && sampling.topK > 0 ? sampling.topK : undefined,
			minP: sampling.minP ?? undefined,
			frequencyPenalty: sampling.frequencyPenalty ?? undefined,
			presencePenalty: sampling.presencePenalty ?? undefined,
			repetitionPenalty: sampling.repetitionPenalty ?? undefined,
			seed: sampling.seed === null ? undefined : seedOf(sampling.seed),
			numSequences: sampling.n ?? 1,
		},
		stopping: {
			// Always said: engines' defaults differ, TensorRT-LLM's was 32 tokens.
			maxTokens: isPrefill ? 1 : (stop.maxTokens ?? Math.max(1, contextLength - request.tokenIds.length)),
			minTokens: isPrefill ? undefined : (stop.minTokens ?? undefined),
			ignoreEos: stop.ignoreEos,
			...stopConditions(request),
		},
		response: responseOptions(request, dialect.leastTopN ?? 0),
		kv:
			session || routing.bypassPrefixCache || routing.cacheSalt !== null
				? {
						session,
						bypassPrefixCache: routing.bypassPrefixCache || undefined,
						cacheSalt: routing.cacheSalt ?? undefined,
					}
				: undefined,
		guided: guided ? guidedMessage(guided) : undefined,
		media: request.media.map(mediaMessage),
		loraName: request.lora ?? "",
		extra: Object.keys(extra).length > 0 ? extra : undefined,
	};
}

function extraOf(request: GenerateRequest, dialect: OpenEngineDialect): JsonObject {
	const { conversationId } = request.routing;
	return {
		...(conversationId === null ? {} : { conversation_id: conversationId }),
		// TensorRT-LLM's word for it; an engine of role PREFILL needs none and may ignore it.
		...(request.disaggregation?.role === "prefill" ? { request_type: "context_only" } : {}),
		...dialect.extra?.(request),
	};
}

function seedOf(seed: number): bigint {
	if (Number.isSafeInteger(seed) && seed >= 0) return BigInt(seed);
	throw invalidArgument("seed", `seed ${seed} cannot be sent; use an integer from 0 to 2^53`);
}

function stopConditions({ stop }: GenerateRequest): MessageInit<m.StoppingOptions> {
	const { stopTokenIds, visibleStopTokenIds } = stop;
	if (stopTokenIds.length > 0 && visibleStopTokenIds.length > 0)
		throw new DynError(
			"UNIMPLEMENTED",
			"visible_stop_token_ids is not supported together with stop_token_ids by this engine; use one of them",
			{ details: { param: "visible_stop_token_ids" } },
		);
	const ids = [...new Set([...stopTokenIds, ...visibleStopTokenIds])].sort((a, b) => a - b);
	return {
		conditions: ids.map((stopTokenId) => ({ stopTokenId })),
		includeStopInOutput: visibleStopTokenIds.length > 0 || undefined,
	};
}

function responseOptions(
	{ output }: GenerateRequest,
	leastTopN: number,
): MessageInit<m.ResponseOptions> | undefined {
	const { logprobs, promptLogprobs } = output;
	if (logprobs === null && promptLogprobs === null) return undefined;
	return {
		...(logprobs === null
			? {}
			: { returnOutputLogprobs: true, outputCandidates: { topN: Math.max(leastTopN, logprobs) } }),
		...(promptLogprobs === null
			? {}
			: { returnPromptLogprobs: true, promptCandidates: { topN: Math.max(leastTopN, promptLogprobs) } }),
	};
}

function guidedMessage(guided: GuidedDecoding): MessageInit<m.GuidedDecoding> {
	switch (guided.kind) {
		case "json_schema":
			return { jsonSchema: guided.schema };
		case "json_object":
			return { jsonObject: {} };
		case "regex":
			return { regex: guided.pattern };
		case "grammar":
			return { ebnfGrammar: guided.ebnf };
		case "structural_tag":
			return { structuralTag: guided.tag };
		case "choice":
			return { choice: { choices: guided.choices } };
	}
}

const MODALITIES = { image: m.Modality.IMAGE, video: m.Modality.VIDEO, audio: m.Modality.AUDIO } as const;

function mediaMessage({ modality, source }: MediaItem): MessageInit<m.MediaItem> {
	if ("url" in source) return { modality: MODALITIES[modality], url: source.url };
	if ("dataUri" in source) return { modality: MODALITIES[modality], dataUri: source.dataUri };
	return { modality: MODALITIES[modality], rawBytes: source.bytes };
}
