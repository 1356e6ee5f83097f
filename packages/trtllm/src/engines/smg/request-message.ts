// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { GenerateRequest, GuidedDecoding } from "@dyn/protocols";
import {
	type MessageInit,
	type SmgGenerateRequest,
	type SmgGuidedDecodingParams,
	SmgGuideType,
} from "@dyn/protocols/smg";
import { choicePattern, type RequestTerms, stopIdsOf } from "../client/request-terms.js";
import { imageBytes } from "./image-bytes.js";

export interface RequestMessageContext {
	readonly requestId: string;
	readonly terms: RequestTerms;
	readonly vocabSize: number;
	/** Task ids of the adapters that the server has loaded. */
	readonly loraTaskIds: ReadonlyMap<string, bigint>;
}

/**
 * A request as the server takes it. What it does not take has been refused by `checkFeatures`; texts at which to stop are
 * not sent: the server would have to know text, and the caller ends there itself.
 * @throws DynError UNIMPLEMENTED, INVALID_ARGUMENT
 */
export function toSmgRequest(
	request: GenerateRequest,
	context: RequestMessageContext,
): MessageInit<SmgGenerateRequest> {
	const { tokenIds, sampling, stop, output, guided, lora, media } = request;
	const { requestId, terms } = context;
	return {
		requestId,
		tokenized: { inputTokenIds: Array.from(tokenIds) },
		samplingConfig: {
			beamWidth: sampling.beamWidth ?? 1,
			numReturnSequences: terms.choices,
			// All three absent would mean greedy to TensorRT-LLM.
			topK: Math.max(0, sampling.topK ?? 0),
			topP: sampling.topP ?? 1,
			temperature: sampling.temperature ?? 1,
			seed: sampling.seed === null ? undefined : BigInt.asUintN(64, BigInt(sampling.seed)),
			minTokens: stop.minTokens ?? undefined,
			repetitionPenalty: sampling.repetitionPenalty ?? undefined,
			presencePenalty: sampling.presencePenalty ?? undefined,
			frequencyPenalty: sampling.frequencyPenalty ?? undefined,
			lengthPenalty: sampling.lengthPenalty ?? undefined,
			minP: sampling.minP ?? undefined,
		},
		outputConfig: {
			logprobs: alternatives(output.logprobs),
			promptLogprobs: alternatives(output.promptLogprobs),
			excludeInputFromOutput: true,
		},
		maxTokens: terms.maxTokens,
		// Beams change until the end; and log-probabilities of the prompt come with the end, but belong before the first token.
		streaming: sampling.beamWidth === null && output.promptLogprobs === null,
		guidedDecoding: guided ? guidedParams(guided) : undefined,
		embeddingBias: sampling.logitBias ? biasOf(sampling.logitBias, context.vocabSize) : [],
		loraConfig: lora === null ? undefined : { taskId: taskIdOf(lora, context.loraTaskIds) },
		multimodalInput: media.length === 0 ? undefined : { imageData: media.map(imageBytes) },
		badTokenIds: sampling.badWords.map(onlyToken),
		stopTokenIds: stopIdsOf(terms),
		ignoreEos: stop.ignoreEos,
		includeStopTokenInOutput: terms.showsStopTokens,
	};
}

/** TensorRT-LLM takes 0 for "none": the token's own log-probability comes with at least one alternative. */
const alternatives = (wanted: number | null): number | undefined =>
	wanted === null ? undefined : Math.max(1, wanted);

function guidedParams(guided: GuidedDecoding): SmgGuidedDecodingParams {
	switch (guided.kind) {
		case "json_schema":
			return { guideType: SmgGuideType.JSON_SCHEMA, guide: guided.schema };
		case "json_object":
			return { guideType: SmgGuideType.JSON, guide: "" };
		case "regex":
			return { guideType: SmgGuideType.REGEX, guide: guided.pattern };
		case "grammar":
			return { guideType: SmgGuideType.EBNF_GRAMMAR, guide: guided.ebnf };
		case "structural_tag":
			return { guideType: SmgGuideType.STRUCTURAL_TAG, guide: guided.tag };
		case "choice":
			return { guideType: SmgGuideType.REGEX, guide: choicePattern(guided.choices) };
	}
}

/** The server takes ids of bad tokens, not sequences of them, and texts only where it has the tokenizer. */
function onlyToken(word: readonly number[]): number {
	if (word.length === 1) return word[0]!;
	throw new DynError(
		"UNIMPLEMENTED",
		`bad_words has a word of ${word.length} tokens, and SMG carries single tokens; leave it out`,
		{ details: { param: "bad_words" } },
	);
}

/** One number per id of the vocabulary: the server takes no other length. */
function biasOf(logitBias: ReadonlyMap<number, number>, vocabSize: number): number[] {
	const bias = new Array<number>(vocabSize).fill(0);
	for (const [id, value] of logitBias) bias[id] = value;
	return bias;
}

function taskIdOf(name: string, taskIds: ReadonlyMap<string, bigint>): bigint {
	const id = taskIds.get(name);
	if (id !== undefined) return id;
	throw new DynError(
		"NOT_FOUND",
		`there is no LoRA adapter ${JSON.stringify(name)}; known are ${[...taskIds.keys()].join(", ")}`,
		{
			details: { param: "lora" },
		},
	);
}
