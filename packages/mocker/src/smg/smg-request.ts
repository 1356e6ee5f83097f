// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequest } from "@dyn/protocols";
import type { SmgGenerateRequest } from "@dyn/protocols/smg";

/**
 * The engine's request for SMG's, as TensorRT-LLM's server takes it: salt, retention, priority and lookahead go no further.
 * Stop texts are taken and end nothing: a simulated engine knows no text.
 * @throws DynError INVALID_ARGUMENT naming the field
 */
export function fromSmgRequest(request: SmgGenerateRequest, info: EngineInfo): GenerateRequest {
	const { tokenized, samplingConfig: sampling, outputConfig, maxTokens, embeddingBias } = request;
	if (request.requestId === "") throw invalidArgument("request_id", "request_id is required");
	if (!tokenized || tokenized.inputTokenIds.length === 0)
		throw invalidArgument("tokenized", "tokenized.input_token_ids is required");
	if (maxTokens === 0) throw invalidArgument("max_tokens", "max_tokens is required");
	if (embeddingBias.length > 0 && embeddingBias.length !== info.vocabSize)
		throw invalidArgument(
			"embedding_bias",
			`embedding_bias has ${embeddingBias.length} values, the vocabulary ${info.vocabSize}`,
		);
	if ((request.disaggregatedParams?.requestType ?? 0) !== 0)
		throw invalidArgument(
			"disaggregated_params",
			"context and generation cannot be apart: no response carries a context phase",
		);
	const logprobs = outputConfig?.logprobs;
	const stops = request.stopTokenIds;
	const bias = embeddingBias.flatMap((value, id) => (value === 0 ? [] : [[id, value] as const]));
	return createGenerateRequest({
		model: info.model,
		tokenIds: tokenized.inputTokenIds,
		sampling: {
			n: Math.max(1, sampling?.numReturnSequences ?? 1),
			temperature: sampling?.temperature,
			topP: sampling?.topP,
			topK: sampling?.topK,
			minP: sampling?.minP,
			repetitionPenalty: sampling?.repetitionPenalty,
			presencePenalty: sampling?.presencePenalty,
			frequencyPenalty: sampling?.frequencyPenalty,
			beamWidth: (sampling?.beamWidth ?? 0) > 1 ? sampling!.beamWidth : undefined,
			lengthPenalty: sampling?.lengthPenalty,
			// Ours are exact up to 2^53; equal seeds stay equal.
			seed: sampling?.seed === undefined ? undefined : Number(BigInt.asUintN(53, sampling.seed)),
			badWords: request.badTokenIds.map((id) => [id]),
			logitBias: bias.length > 0 ? new Map(bias) : undefined,
		},
		stop: {
			maxTokens,
			minTokens: sampling?.minTokens,
			ignoreEos: request.ignoreEos,
			stopTokenIds: request.includeStopTokenInOutput ? [] : stops,
			visibleStopTokenIds: request.includeStopTokenInOutput ? stops : [],
		},
		output: { logprobs: logprobs ?? null, promptLogprobs: outputConfig?.promptLogprobs ?? null },
	});
}
