// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { EmbedOutput, EmbedRequest, EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import type { RequestFeature } from "./request-features.js";

/** What an engine is and can do; known once it has started. */
export interface EngineInfo {
	/** Name of the loaded model. */
	readonly model: string;
	/** Most tokens of prompt plus completion. */
	readonly contextLength: number;
	readonly vocabSize: number;
	readonly eosTokenIds: readonly number[];
	/** Tokens per KV block. */
	readonly kvBlockSize: number;
	/** Blocks per data-parallel rank. */
	readonly totalKvBlocks: number;
	/** Most sequences that run at once, per rank. */
	readonly maxNumSeqs: number;
	/** Most tokens (rows) of one step, per rank. */
	readonly maxNumBatchedTokens: number;
	readonly dpSize: number;
	/** Values of an embedding. Absent: it makes none. */
	readonly embeddingSize?: number;
	/** One line for people: "embedded, avx512, 2 threads". */
	readonly description: string;
	readonly capabilities: EngineCapabilities;
}

export interface EngineCapabilities {
	readonly logprobs: boolean;
	/** Largest `n`. */
	readonly maxChoices: number;
	readonly kvEvents: boolean;
	/** What it can honour beyond what every engine can; it refuses the rest (`checkFeatures`). */
	readonly features: readonly RequestFeature[];
	/** Whether a guided answer that another instance began (`resumedTokens`) goes on where its guide was. Absent: no. */
	readonly resumesGuided?: boolean;
}

/** Load of one data-parallel rank at this moment. */
export interface EngineLoad {
	readonly dpRank: number;
	readonly runningSequences: number;
	readonly waitingSequences: number;
	/** Blocks referenced by a running sequence. */
	readonly activeKvBlocks: number;
	/** Blocks that hold reusable content and belong to no sequence. */
	readonly cachedKvBlocks: number;
	readonly totalKvBlocks: number;
	/** Share of prompt tokens found in the KV cache, 0 to 1. Absent when there was no prompt yet or it is not known. */
	readonly kvCacheHitRate?: number;
}

export type EngineHealth =
	| { readonly status: "healthy" }
	/** Alive, but there is work and no step has ended for `sinceMs`. */
	| { readonly status: "stalled"; readonly sinceMs: number }
	/** Takes no requests now, but will again by itself: its process starts again. */
	| { readonly status: "restarting"; readonly reason: string }
	| { readonly status: "dead"; readonly reason: string };

/** A LoRA adapter that requests can name. */
export interface LoraAdapter {
	readonly name: string;
	/** Where it was read from, on the engine's machine. */
	readonly path: string;
}

/** Adapters come and go while the engine runs. */
export interface LoraAdapters {
	/**
	 * Reads an adapter. Again with the same path it does nothing.
	 * @throws DynError INVALID_ARGUMENT when the name has another path, NOT_FOUND, MODEL_FORMAT or UNIMPLEMENTED when there is
	 * none that this engine can honour, OVERLOADED while the name is being loaded or unloaded
	 */
	load(name: string, path: string): Promise<LoraAdapter>;
	/**
	 * Refuses new requests for it at once; resolves when those that run have ended and it is gone.
	 * @throws DynError NOT_FOUND; OVERLOADED as `load`
	 */
	unload(name: string): Promise<void>;
	list(): readonly LoraAdapter[];
}

/**
 * Anything that turns token ids into token ids: the embedded engine, a gRPC client, a simulator.
 * The conformance kit (`@dyn/engine/conformance`) states the contract as tests:
 * - `generate` yields deltas only, exactly one item with a `finishReason` per choice and nothing of that choice after it;
 *   the item with the finish reason carries the choice's usage.
 * - Aborting `context.signal` ends every open choice with `cancelled` in less than 2 s; leaving the loop early does the same silently.
 * - A bad request rejects with INVALID_ARGUMENT (or CONTEXT_LENGTH_EXCEEDED) at the first `next()`; it never harms another request.
 * - `start` is called once, before anything else; `close` may be called at any time and more than once.
 */
export interface Engine {
	start(): Promise<EngineInfo>;
	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput>;
	/**
	 * One vector of length 1 per input, in their order. Present when the engine can make embeddings; see
	 * `EngineInfo.embeddingSize`.
	 * @throws DynError INVALID_ARGUMENT or CONTEXT_LENGTH_EXCEEDED naming the field, CANCELLED when the context is aborted
	 */
	embed?(request: EmbedRequest, context: RequestContext): Promise<EmbedOutput>;
	/** Every change of the KV cache from now on. One subscriber at a time; leaving the loop unsubscribes. */
	kvEvents(): AsyncIterable<KvEvent>;
	/** One entry per data-parallel rank. */
	load(): readonly EngineLoad[];
	health(): EngineHealth;
	/** Takes no new requests (they reject with DRAINING) and resolves when the running ones have ended. */
	drain(): Promise<void>;
	/** Ends running requests with `cancelled` and frees everything. Idempotent. */
	close(): Promise<void>;
	/** Present when adapters can be loaded, whose names requests may have in `lora`. */
	readonly lora?: LoraAdapters | undefined;
	/** Present when requests may name logits processors. */
	readonly logitsProcessors?: { readonly names: readonly string[] };
}
