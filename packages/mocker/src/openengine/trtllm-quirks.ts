// SPDX-License-Identifier: Apache-2.0

/** Where TensorRT-LLM's OpenEngine server differs from the contract (its tensorrt_llm/grpc/openengine), switch by switch. */
export interface TrtllmQuirks {
	/** GetServerInfo says role UNSPECIFIED: what a request is, the request says. */
	readonly unspecifiedRole: boolean;
	/** Any non-empty model name is served. */
	readonly anyModel: boolean;
	/** Aborting an unknown request is ALREADY_FINISHED instead of NOT_FOUND. */
	readonly unknownAbortIsFinished: boolean;
	/** Abort by session is UNIMPLEMENTED. */
	readonly noAbortBySession: boolean;
	/** A response that stays undelivered for this long ends its request as OVERLOADED, ms; 0 = never. */
	readonly slowReaderMs: number;
	/** Sessions in TensorRT-LLM's form, checked as it checks them. */
	readonly strictHandoff: boolean;
	/** GetModelInfo has no max_context_length, as without `--max_seq_len`. */
	readonly noContextLength: boolean;
	/** Most tokens of requests that do not say; 0 = what fits the context. */
	readonly defaultMaxTokens: number;
	/** With stop texts, tokens are held back and come in bursts of this many; 0 = stop texts are refused. */
	readonly stopTextBurst: number;
	/** Priority and target rank in the metadata, bypass_prefix_cache, LoRA and media are UNIMPLEMENTED. */
	readonly fewFeatures: boolean;
	/** More than one choice needs a temperature. */
	readonly noGreedyChoices: boolean;
	/** KV event RPCs are UNIMPLEMENTED. */
	readonly noKvEvents: boolean;
	/** GetLoad knows the running requests only. */
	readonly littleLoad: boolean;
	/** Nothing beyond the contract is said of server and model. */
	readonly noExtra: boolean;
}

export const TRTLLM_QUIRKS: TrtllmQuirks = {
	unspecifiedRole: true,
	anyModel: true,
	unknownAbortIsFinished: true,
	noAbortBySession: true,
	slowReaderMs: 30_000,
	strictHandoff: true,
	noContextLength: true,
	defaultMaxTokens: 32,
	stopTextBurst: 4,
	fewFeatures: true,
	noGreedyChoices: true,
	noKvEvents: true,
	littleLoad: true,
	noExtra: true,
};

/** A server that keeps the contract to the letter. */
export const NO_QUIRKS: TrtllmQuirks = {
	unspecifiedRole: false,
	anyModel: false,
	unknownAbortIsFinished: false,
	noAbortBySession: false,
	slowReaderMs: 0,
	strictHandoff: false,
	noContextLength: false,
	defaultMaxTokens: 0,
	stopTextBurst: 0,
	fewFeatures: false,
	noGreedyChoices: false,
	noKvEvents: false,
	littleLoad: false,
	noExtra: false,
};
