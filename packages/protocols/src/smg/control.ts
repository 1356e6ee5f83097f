// SPDX-License-Identifier: Apache-2.0
import { bool, int32, type MessageCodec, message, plain, repeated, string } from "./message-codec.js";

export type SmgEmpty = Readonly<Record<never, never>>;
export const SmgEmpty: MessageCodec<SmgEmpty> = message<SmgEmpty>({});

export interface SmgHealthCheckResponse {
	/** "OK", or what is wrong. */
	readonly status: string;
}
export const SmgHealthCheckResponse: MessageCodec<SmgHealthCheckResponse> = message<SmgHealthCheckResponse>({
	status: plain(1, string),
});

export interface SmgAbortRequest {
	readonly requestId: string;
}
export const SmgAbortRequest: MessageCodec<SmgAbortRequest> = message<SmgAbortRequest>({
	requestId: plain(1, string),
});

export interface SmgAbortResponse {
	readonly success: boolean;
	readonly message: string;
}
export const SmgAbortResponse: MessageCodec<SmgAbortResponse> = message<SmgAbortResponse>({
	success: plain(1, bool),
	message: plain(2, string),
});

/** TensorRT-LLM fills in `modelId`, the two lengths and `vocabSize`; `maxSeqLen` = `maxInputLen` means that it knows neither. */
export interface SmgModelInfo {
	readonly modelId: string;
	readonly maxInputLen: number;
	readonly maxSeqLen: number;
	readonly maxBatchSize: number;
	readonly vocabSize: number;
	readonly hiddenSize: number;
	readonly numLayers: number;
	readonly numHeads: number;
	readonly features: readonly string[];
}
export const SmgModelInfo: MessageCodec<SmgModelInfo> = message<SmgModelInfo>({
	modelId: plain(1, string),
	maxInputLen: plain(2, int32),
	maxSeqLen: plain(3, int32),
	maxBatchSize: plain(4, int32),
	vocabSize: plain(5, int32),
	hiddenSize: plain(6, int32),
	numLayers: plain(7, int32),
	numHeads: plain(8, int32),
	features: repeated(9, string),
});

export interface SmgServerInfo {
	readonly version: string;
	readonly backend: string;
	readonly tensorParallelSize: number;
	readonly pipelineParallelSize: number;
	readonly contextParallelSize: number;
	readonly worldSize: number;
}
export const SmgServerInfo: MessageCodec<SmgServerInfo> = message<SmgServerInfo>({
	version: plain(1, string),
	backend: plain(2, string),
	tensorParallelSize: plain(3, int32),
	pipelineParallelSize: plain(4, int32),
	contextParallelSize: plain(5, int32),
	worldSize: plain(6, int32),
});
