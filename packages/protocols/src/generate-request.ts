// SPDX-License-Identifier: Apache-2.0
import type { GuidedDecoding } from "./guided-decoding.js";
import type { Disaggregation } from "./kv-session.js";
import type { MediaItem } from "./media-item.js";

/** How to choose the next token. `null` means "the engine's default", which is stated per field. */
export interface SamplingOptions {
	/** Number of choices, 1..128. Default 1. */
	readonly n: number | null;
	/** 0..2; 0 = greedy (ties to the lower id). Default 1. */
	readonly temperature: number | null;
	/** 0 < p <= 1. Default 1 (off). */
	readonly topP: number | null;
	/** Keep the k most likely tokens; -1 or 0 = all. Default all. */
	readonly topK: number | null;
	/** Drop tokens less likely than minP times the most likely one, 0..1. Default 0 (off). */
	readonly minP: number | null;
	/** -2..2, subtracted once for each token that was generated before. Default 0. */
	readonly presencePenalty: number | null;
	/** -2..2, subtracted per time a token was generated before. Default 0. */
	readonly frequencyPenalty: number | null;
	/** > 0..2, divides positive and multiplies negative logits of tokens in prompt or output. Default 1. */
	readonly repetitionPenalty: number | null;
	/** Same seed and input give the same output, whatever shares the batch. Default: random. */
	readonly seed: number | null;
	/** Added to the logits: token id to -100..100. */
	readonly logitBias: ReadonlyMap<number, number> | null;
	/**
	 * Token sequences that are not to come about: where all but the last token of one stand at the end of what there is, prompt
	 * included, its last cannot be chosen. One of a single token is never chosen. Default: none.
	 */
	readonly badWords: readonly (readonly number[])[];
	/** Candidates to generate, of which the best `n` are answered; >= n. Default n. */
	readonly bestOf: number | null;
	/** > 1: beam search of this width, which answers `n` beams. Default: no beam search. */
	readonly beamWidth: number | null;
	/** Exponent of the length by which a beam's score is divided. Default 1. */
	readonly lengthPenalty: number | null;
}

export interface StopConditions {
	/** Most tokens to generate per choice. Default: what is left of the context. */
	readonly maxTokens: number | null;
	/** Neither end-of-sequence nor stop ids can be chosen before this many tokens, and no stop string ends a choice with fewer. Default 0. */
	readonly minTokens: number | null;
	/** Generation ends with one of these; the id itself is not part of the output. */
	readonly stopTokenIds: readonly number[];
	/** The same, but the id is part of the output. */
	readonly visibleStopTokenIds: readonly number[];
	/**
	 * Texts at which whoever turns tokens into text ends the request. A hint to engines: one that knows text may end there
	 * by itself, sooner; one that does not ignores them.
	 */
	readonly stopStrings: readonly string[];
	/** Go on past the model's end-of-sequence ids. Default false. */
	readonly ignoreEos: boolean;
}

export interface OutputOptions {
	/** Per generated token: its log-probability and the k most likely alternatives, 0..20. null = none. */
	readonly logprobs: number | null;
	/** The same for the tokens of the prompt. null = none. */
	readonly promptLogprobs: number | null;
}

export interface LogitsProcessorRequest {
	readonly name: string;
	readonly args: unknown;
}

export interface RoutingHints {
	/** Higher runs first; default 0. */
	readonly priority: number | null;
	readonly dpRank: number | null;
	/** Requests share cached prefixes only with requests of the same salt. */
	readonly cacheSalt: string | null;
	/** True: no cached prefix is used; what is computed may still be cached. */
	readonly bypassPrefixCache: boolean;
	/** Requests of one conversation are best served by the rank that served it before. */
	readonly conversationId: string | null;
	/** Asks a decode worker to do the prefill too, this once (conditional disaggregation). */
	readonly bypassRemotePrefill: boolean;
}

/** What an engine is asked to do: token ids in, token ids out. */
export interface GenerateRequest {
	readonly model: string;
	readonly tokenIds: readonly number[] | Uint32Array;
	/**
	 * How many of the last `tokenIds` are no prompt but an answer's beginning, which an instance that failed had made: for
	 * presence and frequency penalties and for the numbers drawn from a seed they count as generated. `stop` counts what
	 * is still to come, and usage takes them for prompt. Engines that do not know it take them for prompt in all. Usually 0.
	 */
	readonly resumedTokens: number;
	/** The model's end-of-sequence ids, for engines that do not know them. May be empty. */
	readonly eosTokenIds: readonly number[];
	readonly sampling: SamplingOptions;
	readonly stop: StopConditions;
	readonly output: OutputOptions;
	readonly routing: RoutingHints;
	/** Applied in this order to every row of logits of this request. */
	readonly logitsProcessors: readonly LogitsProcessorRequest[];
	readonly guided: GuidedDecoding | null;
	/** Name of a loaded LoRA adapter. */
	readonly lora: string | null;
	/** One per placeholder in the prompt, in its order. */
	readonly media: readonly MediaItem[];
	readonly disaggregation: Disaggregation | null;
	/** True for a canary: answered like any request, not counted as traffic. */
	readonly healthCheck: boolean;
}

type Init<T> = { readonly [K in keyof T]?: T[K] | undefined };

export interface GenerateRequestInit {
	readonly model?: string;
	readonly tokenIds: readonly number[] | Uint32Array;
	readonly resumedTokens?: number;
	readonly eosTokenIds?: readonly number[];
	readonly sampling?: Init<SamplingOptions>;
	readonly stop?: Init<StopConditions>;
	readonly output?: Init<OutputOptions>;
	readonly routing?: Init<RoutingHints>;
	readonly logitsProcessors?: readonly LogitsProcessorRequest[];
	readonly guided?: GuidedDecoding | null;
	readonly lora?: string | null;
	readonly media?: readonly MediaItem[];
	readonly disaggregation?: Disaggregation | null;
	readonly healthCheck?: boolean;
}

/** `defaults`, changed in place to have those of `values` that are not undefined. Nothing else of `values` gets in. */
function withDefaults<T extends object>(defaults: T, values: Init<T> | undefined): T {
	if (!values) return defaults;
	for (const key in defaults) {
		const value = values[key];
		if (value !== undefined) defaults[key] = value;
	}
	return defaults;
}

/** Fills in every absent field, so that engines never meet `undefined`. */
export function createGenerateRequest(init: GenerateRequestInit): GenerateRequest {
	const sampling: SamplingOptions = {
		n: null,
		temperature: null,
		topP: null,
		topK: null,
		minP: null,
		presencePenalty: null,
		frequencyPenalty: null,
		repetitionPenalty: null,
		seed: null,
		logitBias: null,
		badWords: [],
		bestOf: null,
		beamWidth: null,
		lengthPenalty: null,
	};
	const stop: StopConditions = {
		maxTokens: null,
		minTokens: null,
		stopTokenIds: [],
		visibleStopTokenIds: [],
		stopStrings: [],
		ignoreEos: false,
	};
	const routing: RoutingHints = {
		priority: null,
		dpRank: null,
		cacheSalt: null,
		bypassPrefixCache: false,
		conversationId: null,
		bypassRemotePrefill: false,
	};
	return {
		model: init.model ?? "",
		tokenIds: init.tokenIds,
		resumedTokens: init.resumedTokens ?? 0,
		eosTokenIds: init.eosTokenIds ?? [],
		sampling: withDefaults(sampling, init.sampling),
		stop: withDefaults(stop, init.stop),
		output: withDefaults<OutputOptions>({ logprobs: null, promptLogprobs: null }, init.output),
		routing: withDefaults(routing, init.routing),
		logitsProcessors: init.logitsProcessors ?? [],
		guided: init.guided ?? null,
		lora: init.lora ?? null,
		media: init.media ?? [],
		disaggregation: init.disaggregation ?? null,
		healthCheck: init.healthCheck ?? false,
	};
}
