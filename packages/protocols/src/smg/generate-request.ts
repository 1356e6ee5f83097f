// SPDX-License-Identifier: Apache-2.0
import {
	bool,
	bytes,
	double,
	float,
	int32,
	int64,
	type MessageCodec,
	message,
	nested,
	optional,
	plain,
	repeated,
	string,
	uint32,
	uint64,
} from "./message-codec.js";

// SMG's trtllm_service.proto as in smg-grpc-proto 0.4.14. The file of the same name in TensorRT-LLM's own tree is older and
// numbers fields differently.

export interface SmgTokenizedInput {
	readonly originalText: string;
	readonly inputTokenIds: readonly number[];
	/** For encoder-decoder models. */
	readonly queryTokenIds: readonly number[];
}
export const SmgTokenizedInput: MessageCodec<SmgTokenizedInput> = message<SmgTokenizedInput>({
	originalText: plain(1, string),
	inputTokenIds: repeated(2, uint32),
	queryTokenIds: repeated(3, uint32),
});

/** Absent fields are the engine's defaults. */
export interface SmgSamplingConfig {
	readonly beamWidth: number;
	readonly numReturnSequences: number;
	readonly topK?: number | undefined;
	readonly topP?: number | undefined;
	readonly topPMin?: number | undefined;
	readonly topPResetIds?: number | undefined;
	readonly topPDecay?: number | undefined;
	readonly seed?: bigint | undefined;
	readonly temperature?: number | undefined;
	readonly minTokens?: number | undefined;
	readonly beamSearchDiversityRate?: number | undefined;
	readonly repetitionPenalty?: number | undefined;
	readonly presencePenalty?: number | undefined;
	readonly frequencyPenalty?: number | undefined;
	readonly promptIgnoreLength?: number | undefined;
	readonly lengthPenalty?: number | undefined;
	readonly earlyStopping?: number | undefined;
	readonly noRepeatNgramSize?: number | undefined;
	readonly minP?: number | undefined;
	readonly beamWidthArray: readonly number[];
}
export const SmgSamplingConfig: MessageCodec<SmgSamplingConfig> = message<SmgSamplingConfig>({
	beamWidth: plain(1, int32),
	numReturnSequences: plain(2, uint32),
	topK: optional(3, int32),
	topP: optional(4, float),
	topPMin: optional(5, float),
	topPResetIds: optional(6, int32),
	topPDecay: optional(7, float),
	seed: optional(8, uint64),
	temperature: optional(9, float),
	minTokens: optional(10, uint32),
	beamSearchDiversityRate: optional(11, float),
	repetitionPenalty: optional(12, float),
	presencePenalty: optional(13, float),
	frequencyPenalty: optional(14, float),
	promptIgnoreLength: optional(15, int32),
	lengthPenalty: optional(16, float),
	earlyStopping: optional(17, int32),
	noRepeatNgramSize: optional(18, int32),
	minP: optional(19, float),
	beamWidthArray: repeated(20, int32),
});

export interface SmgOutputConfig {
	/** Alternatives per generated token. */
	readonly logprobs?: number | undefined;
	readonly promptLogprobs?: number | undefined;
	readonly returnContextLogits: boolean;
	readonly returnGenerationLogits: boolean;
	readonly excludeInputFromOutput: boolean;
	readonly returnEncoderOutput: boolean;
	readonly returnPerfMetrics: boolean;
}
export const SmgOutputConfig: MessageCodec<SmgOutputConfig> = message<SmgOutputConfig>({
	logprobs: optional(1, int32),
	promptLogprobs: optional(2, int32),
	returnContextLogits: plain(3, bool),
	returnGenerationLogits: plain(4, bool),
	excludeInputFromOutput: plain(5, bool),
	returnEncoderOutput: plain(6, bool),
	returnPerfMetrics: plain(7, bool),
});

/** Numbers of SMG's guide types. */
export const SmgGuideType = {
	UNSPECIFIED: 0,
	JSON: 1,
	JSON_SCHEMA: 2,
	REGEX: 3,
	EBNF_GRAMMAR: 4,
	STRUCTURAL_TAG: 5,
} as const;

export interface SmgGuidedDecodingParams {
	/** One of `SmgGuideType`. */
	readonly guideType: number;
	readonly guide: string;
}
export const SmgGuidedDecodingParams: MessageCodec<SmgGuidedDecodingParams> =
	message<SmgGuidedDecodingParams>({
		guideType: plain(1, int32),
		guide: plain(2, string),
	});

export interface SmgLoraConfig {
	readonly taskId: bigint;
	readonly weights?: Uint8Array | undefined;
	readonly configJson?: string | undefined;
}
export const SmgLoraConfig: MessageCodec<SmgLoraConfig> = message<SmgLoraConfig>({
	taskId: plain(1, int64),
	weights: optional(2, bytes),
	configJson: optional(3, string),
});

export interface SmgMultimodalInput {
	/** JPEG or PNG files, in the order of their placeholders. */
	readonly imageData: readonly Uint8Array[];
}
export const SmgMultimodalInput: MessageCodec<SmgMultimodalInput> = message<SmgMultimodalInput>({
	imageData: repeated(1, bytes),
});

export interface SmgContextPhaseParams {
	readonly firstGenTokenId: number;
	readonly kvCacheBlocks: Uint8Array;
}
export const SmgContextPhaseParams: MessageCodec<SmgContextPhaseParams> = message<SmgContextPhaseParams>({
	firstGenTokenId: plain(1, uint32),
	kvCacheBlocks: plain(2, bytes),
});

export interface SmgDisaggregatedParams {
	/** 0: both phases, 1: context, 2: generation. */
	readonly requestType: number;
	readonly ctxRequestId?: string | undefined;
	readonly contextPhaseParams?: SmgContextPhaseParams | undefined;
}
export const SmgDisaggregatedParams: MessageCodec<SmgDisaggregatedParams> = message<SmgDisaggregatedParams>({
	requestType: plain(1, int32),
	ctxRequestId: optional(2, string),
	contextPhaseParams: optional(3, nested(SmgContextPhaseParams)),
});

/** Fields 14, 16, 18 and 27 (prompt tuning, KV retention, lookahead, message hashes) are not here: TensorRT-LLM reads none of them. */
export interface SmgGenerateRequest {
	readonly requestId: string;
	readonly tokenized?: SmgTokenizedInput | undefined;
	readonly samplingConfig?: SmgSamplingConfig | undefined;
	readonly outputConfig?: SmgOutputConfig | undefined;
	/** Required by the server. */
	readonly maxTokens: number;
	readonly streaming: boolean;
	readonly guidedDecoding?: SmgGuidedDecodingParams | undefined;
	/** Empty, or one per token id of the vocabulary. */
	readonly embeddingBias: readonly number[];
	readonly loraConfig?: SmgLoraConfig | undefined;
	readonly multimodalInput?: SmgMultimodalInput | undefined;
	readonly disaggregatedParams?: SmgDisaggregatedParams | undefined;
	/** TensorRT-LLM's server does not pass it on. */
	readonly cacheSaltId?: bigint | undefined;
	/** Seconds since the Unix epoch. */
	readonly arrivalTime?: number | undefined;
	readonly stop: readonly string[];
	readonly stopTokenIds: readonly number[];
	readonly ignoreEos: boolean;
	readonly bad: readonly string[];
	readonly badTokenIds: readonly number[];
	readonly includeStopTokenInOutput: boolean;
}
export const SmgGenerateRequest: MessageCodec<SmgGenerateRequest> = message<SmgGenerateRequest>({
	requestId: plain(1, string),
	tokenized: optional(2, nested(SmgTokenizedInput)),
	samplingConfig: optional(3, nested(SmgSamplingConfig)),
	outputConfig: optional(4, nested(SmgOutputConfig)),
	maxTokens: plain(5, uint32),
	streaming: plain(6, bool),
	guidedDecoding: optional(11, nested(SmgGuidedDecodingParams)),
	embeddingBias: repeated(12, float),
	loraConfig: optional(13, nested(SmgLoraConfig)),
	multimodalInput: optional(15, nested(SmgMultimodalInput)),
	disaggregatedParams: optional(17, nested(SmgDisaggregatedParams)),
	cacheSaltId: optional(19, int64),
	arrivalTime: optional(20, double),
	stop: repeated(21, string),
	stopTokenIds: repeated(22, uint32),
	ignoreEos: plain(23, bool),
	bad: repeated(24, string),
	badTokenIds: repeated(25, uint32),
	includeStopTokenInOutput: plain(26, bool),
});
