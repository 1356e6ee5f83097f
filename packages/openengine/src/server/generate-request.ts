// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import {
	createGenerateRequest,
	type Disaggregation,
	type GenerateRequest,
	type GuidedDecoding,
	type MediaItem,
} from "@dyn/protocols";
import type * as m from "../generated/messages.js";
import type { RequestMetadata } from "../request-metadata.js";
import { fromSessionMessage } from "../session-message.js";

/** What an engine instance does of a request. */
export type EngineServerRole = "aggregated" | "prefill" | "decode";

/**
 * The engine's request for OpenEngine's, validated as far as the message alone allows.
 * @throws DynError INVALID_ARGUMENT, or UNIMPLEMENTED for what `Engine` cannot say
 */
export function fromRequestMessage(
	request: m.GenerateRequest,
	metadata: RequestMetadata,
	role: EngineServerRole,
): GenerateRequest {
	const { sampling, stopping, response, kv, extra = {} } = request;
	if (request.prompt !== undefined) throw unsupported("prompt", "text prompts; send token_ids");
	if (request.tokenIds === undefined)
		throw invalidArgument("input", "the request has no input; send token_ids");
	if (sampling?.numSequences === 0)
		throw invalidArgument("num_sequences", "num_sequences is 0; send at least 1");
	const sessionRank = kv?.session?.dpRank;
	if (
		sessionRank !== undefined &&
		metadata.targetDpRank !== undefined &&
		metadata.targetDpRank !== sessionRank
	)
		throw invalidArgument(
			"openengine-target-dp-rank",
			`openengine-target-dp-rank says ${metadata.targetDpRank} and kv.session.dp_rank ${sessionRank}; send the session's`,
		);
	return createGenerateRequest({
		model: request.model,
		tokenIds: request.tokenIds.ids,
		sampling: {
			n: sampling?.numSequences,
			temperature: sampling?.temperature,
			topP: sampling?.topP,
			topK: sampling?.topK,
			minP: sampling?.minP,
			frequencyPenalty: sampling?.frequencyPenalty,
			presencePenalty: sampling?.presencePenalty,
			repetitionPenalty: sampling?.repetitionPenalty,
			// Ours are exact up to 2^53; equal seeds stay equal.
			seed: sampling?.seed === undefined ? undefined : Number(BigInt.asUintN(53, sampling.seed)),
		},
		stop: {
			maxTokens: stopping?.maxTokens,
			minTokens: stopping?.minTokens,
			ignoreEos: stopping?.ignoreEos,
			...stopIds(stopping),
		},
		output: {
			logprobs: candidates("output_candidates", response?.returnOutputLogprobs, response?.outputCandidates),
			promptLogprobs: promptCandidates(response),
		},
		routing: {
			priority: metadata.priority,
			dpRank: metadata.targetDpRank,
			cacheSalt: kv?.cacheSalt,
			bypassPrefixCache: kv?.bypassPrefixCache,
			conversationId: extraString(extra["conversation_id"]),
		},
		guided: request.guided ? guidedDecoding(request.guided) : null,
		lora: request.loraName === "" ? null : request.loraName,
		media: request.media.map(mediaItem),
		disaggregation: disaggregation(kv?.session, role, extra["request_type"]),
	});
}

function unsupported(param: string, what: string): DynError {
	return new DynError("UNIMPLEMENTED", `this engine does not take ${what}`, { details: { param } });
}

function stopIds(stopping: m.StoppingOptions | undefined): {
	stopTokenIds: readonly number[];
	visibleStopTokenIds: readonly number[];
} {
	const ids = (stopping?.conditions ?? []).map(({ stopTokenId, stopText }) => {
		if (stopText !== undefined)
			throw unsupported("stop_text", "stop texts; send stop_token_id, or look for texts yourself");
		if (stopTokenId === undefined)
			throw invalidArgument("conditions", "a stop condition is empty; leave it out");
		return stopTokenId;
	});
	return stopping?.includeStopInOutput
		? { stopTokenIds: [], visibleStopTokenIds: ids }
		: { stopTokenIds: ids, visibleStopTokenIds: [] };
}

function candidates(
	param: string,
	asked: boolean | undefined,
	selection: m.CandidateTokenSelection | undefined,
): number | null {
	if (selection?.tokenIds !== undefined || selection?.all !== undefined)
		throw unsupported(param, "other candidates than top_n");
	return asked === true || selection?.topN !== undefined ? (selection?.topN ?? 0) : null;
}

function promptCandidates(response: m.ResponseOptions | undefined): number | null {
	if (response?.promptLogprobStart)
		throw unsupported("prompt_logprob_start", "prompt_logprob_start; leave it out");
	return candidates("prompt_candidates", response?.returnPromptLogprobs, response?.promptCandidates);
}

function extraString(value: unknown): string | undefined {
	if (value === undefined || typeof value === "string") return value;
	throw invalidArgument("extra.conversation_id", "extra.conversation_id must be a string");
}

function guidedDecoding(guided: m.GuidedDecoding): GuidedDecoding {
	if (guided.backend !== "") throw unsupported("guided.backend", "a choice of guided-decoding backend");
	if (guided.jsonSchema !== undefined) return { kind: "json_schema", schema: guided.jsonSchema };
	if (guided.regex !== undefined) return { kind: "regex", pattern: guided.regex };
	if (guided.ebnfGrammar !== undefined) return { kind: "grammar", ebnf: guided.ebnfGrammar };
	if (guided.structuralTag !== undefined) return { kind: "structural_tag", tag: guided.structuralTag };
	if (guided.choice !== undefined) return { kind: "choice", choices: guided.choice.choices };
	if (guided.jsonObject !== undefined) return { kind: "json_object" };
	throw invalidArgument("guided", "guided names no guide; leave it out");
}

const MODALITIES = ["unspecified", "image", "video", "audio"] as const;

function mediaItem({ modality, url, dataUri, rawBytes }: m.MediaItem): MediaItem {
	const name = MODALITIES[modality];
	if (name === undefined || name === "unspecified")
		throw invalidArgument("media", "a media item has no modality");
	if (url !== undefined) return { modality: name, source: { url } };
	if (dataUri !== undefined) return { modality: name, source: { dataUri } };
	if (rawBytes !== undefined) return { modality: name, source: { bytes: rawBytes } };
	throw invalidArgument("media", "a media item has no source");
}

/** @throws DynError INVALID_ARGUMENT when the request is not for an engine of this role */
function disaggregation(
	session: m.KvSessionRef | undefined,
	role: EngineServerRole,
	requestType: unknown,
): Disaggregation | null {
	if (session) {
		if (role === "prefill")
			throw invalidArgument(
				"kv.session",
				"a prefill engine takes no kv.session; send the request to a decode engine",
			);
		return { role: "decode", session: fromSessionMessage(session) };
	}
	if (role === "decode" || requestType === "generation_only")
		throw invalidArgument("kv.session", "a decode request needs the kv.session of its prefill");
	return role === "prefill" || requestType === "context_only" ? { role: "prefill" } : null;
}
