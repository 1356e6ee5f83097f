// SPDX-License-Identifier: Apache-2.0
import {
	bytes,
	float,
	type MessageCodec,
	message,
	nested,
	optional,
	plain,
	repeated,
	string,
	uint32,
} from "./message-codec.js";

export interface SmgTopLogprob {
	readonly tokenId: number;
	readonly logprob: number;
}
export const SmgTopLogprob: MessageCodec<SmgTopLogprob> = message<SmgTopLogprob>({
	tokenId: plain(1, uint32),
	logprob: plain(2, float),
});

export interface SmgTokenLogprob {
	readonly tokenId: number;
	readonly logprob: number;
	readonly topLogprobs: readonly SmgTopLogprob[];
}
export const SmgTokenLogprob: MessageCodec<SmgTokenLogprob> = message<SmgTokenLogprob>({
	tokenId: plain(1, uint32),
	logprob: plain(2, float),
	topLogprobs: repeated(3, nested(SmgTopLogprob)),
});

export interface SmgGenerateChunk {
	/** New ones since the last chunk of this sequence. */
	readonly tokenIds: readonly number[];
	readonly sequenceIndex: number;
	readonly promptTokens: number;
	/** All so far. */
	readonly completionTokens: number;
	readonly cachedTokens: number;
	readonly logprobs: readonly SmgTokenLogprob[];
}
export const SmgGenerateChunk: MessageCodec<SmgGenerateChunk> = message<SmgGenerateChunk>({
	tokenIds: repeated(1, uint32),
	sequenceIndex: plain(2, uint32),
	promptTokens: plain(3, uint32),
	completionTokens: plain(4, uint32),
	cachedTokens: plain(5, uint32),
	logprobs: repeated(6, nested(SmgTokenLogprob)),
});

/** The end of one sequence. Its `perf_metrics` (10) are skipped. */
export interface SmgGenerateComplete {
	/** All of the sequence, those of its chunks included. */
	readonly outputTokenIds: readonly number[];
	readonly sequenceIndex: number;
	readonly finishReason: string;
	readonly matchedStopStr?: string | undefined;
	readonly promptTokens: number;
	readonly completionTokens: number;
	readonly cachedTokens: number;
	readonly logprobs: readonly SmgTokenLogprob[];
	readonly promptLogprobs: readonly SmgTokenLogprob[];
	readonly contextLogits?: Uint8Array | undefined;
	readonly generationLogits?: Uint8Array | undefined;
	readonly matchedTokenId?: number | undefined;
}
export const SmgGenerateComplete: MessageCodec<SmgGenerateComplete> = message<SmgGenerateComplete>(
	{
		outputTokenIds: repeated(1, uint32),
		sequenceIndex: plain(2, uint32),
		finishReason: plain(3, string),
		matchedStopStr: optional(4, string),
		promptTokens: plain(5, uint32),
		completionTokens: plain(6, uint32),
		cachedTokens: plain(7, uint32),
		logprobs: repeated(8, nested(SmgTokenLogprob)),
		promptLogprobs: repeated(9, nested(SmgTokenLogprob)),
		contextLogits: optional(11, bytes),
		generationLogits: optional(12, bytes),
		matchedTokenId: optional(13, uint32),
	},
	[["matchedStopStr", "matchedTokenId"]],
);

/** One of `chunk` and `complete`; one `complete` per sequence. */
export interface SmgGenerateResponse {
	readonly requestId: string;
	readonly chunk?: SmgGenerateChunk | undefined;
	readonly complete?: SmgGenerateComplete | undefined;
}
export const SmgGenerateResponse: MessageCodec<SmgGenerateResponse> = message<SmgGenerateResponse>(
	{
		requestId: plain(1, string),
		chunk: optional(2, nested(SmgGenerateChunk)),
		complete: optional(3, nested(SmgGenerateComplete)),
	},
	[["chunk", "complete"]],
);
