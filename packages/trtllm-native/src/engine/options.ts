// SPDX-License-Identifier: Apache-2.0
import { availableParallelism, freemem, totalmem } from "node:os";
import { DynError, invalidArgument, type Logger, type Metrics } from "@dyn/common";
import type { KvTransferAgent } from "@dyn/kvbm/transfer";
import type { LogitsProcessorFactory } from "@dyn/logits";
import type { ModelSpec } from "../model/model-spec.js";
import type { Quantization } from "../model/quantize-weights.js";
import type { Pooling } from "./pooler.js";

/** What one step was, for whoever watches the engine. */
export interface IterationStats {
	/** Counts steps from 1. */
	readonly iteration: number;
	/** Rows computed, and how many of them belong to prompts. */
	readonly rows: number;
	readonly promptRows: number;
	/** Tokens chosen in this step. */
	readonly generatedTokens: number;
	readonly runningSequences: number;
	readonly waitingSequences: number;
	/** Share of the KV blocks that running sequences hold, 0..1. */
	readonly kvCacheUtilization: number;
	/** Since the start: preemptions, tokens of the prompts that were admitted, and how many of these the prefix cache had. */
	readonly preemptions: number;
	readonly promptTokens: number;
	readonly cachedTokens: number;
	/** Since the start: tokens that were guessed and computed ahead, and how many of these came true. */
	readonly draftTokens: number;
	readonly acceptedDraftTokens: number;
	readonly elapsedMs: number;
	readonly dpRank: number;
}

export interface EmbeddedEngineOptions {
	/** Hugging Face folder or GGUF file. */
	readonly modelPath: string;
	/** Name in EngineInfo. Default: the last part of the path. */
	readonly modelName?: string | undefined;
	/** Most sequences that run at once. Default 16. TensorRT-LLM: max_batch_size. */
	readonly maxNumSeqs?: number | undefined;
	/** Most rows of one step. Default 512. TensorRT-LLM: max_num_tokens. */
	readonly maxNumBatchedTokens?: number | undefined;
	/** Most tokens of prompt plus completion. Default and upper limit: the model's. TensorRT-LLM: max_seq_len. */
	readonly maxSeqLen?: number | undefined;
	/** Blocks of 32 tokens, per rank. Default: what kvCacheMemoryFraction allows, at most maxNumSeqs full contexts. */
	readonly numKvBlocks?: number | undefined;
	/** Share of the memory that is free at the start, > 0..1. Default 0.3. TensorRT-LLM: free_gpu_memory_fraction. */
	readonly kvCacheMemoryFraction?: number | undefined;
	/** Threads of a step, shared out among the ranks. Default: all cores. */
	readonly threads?: number | undefined;
	/** "amx", "avx512", "avx2", "portable". Default: the best that the CPU has. */
	readonly isa?: string | undefined;
	/** "auto" computes as the checkpoint is stored, "f32" in full precision. Default "auto". */
	readonly precision?: "auto" | "f32" | undefined;
	/**
	 * "int8" or "int4": quantises weights that the checkpoint stores as F32, F16 or BF16 while it loads them. Default: none, as
	 * stored. vLLM: quantization; TensorRT-LLM: quant_config.
	 */
	readonly quantization?: Quantization | undefined;
	/** "native" (C++) or "reference" (TypeScript, for tiny models). Default "native". */
	readonly backend?: "native" | "reference" | undefined;
	/** A native binary to load instead of the package's own. */
	readonly nativePath?: string | undefined;
	/**
	 * Where guesses of the tokens to come are from: "off", "prompt-lookup" (earlier text) or "draft" (draftModelPath).
	 * Answers are the same, in fewer steps. Default "draft" with a draftModelPath, else "prompt-lookup". TensorRT-LLM:
	 * speculative_config.
	 */
	readonly speculativeMode?: "off" | "prompt-lookup" | "draft" | undefined;
	/** Most guesses of a sequence in a step. Default 8. TensorRT-LLM: max_draft_len. */
	readonly speculativeTokens?: number | undefined;
	/** A smaller checkpoint with the same tokenizer, which guesses. Its KV cache comes on top of numKvBlocks. */
	readonly draftModelPath?: string | undefined;
	/** Logits processors that requests may name. */
	readonly logitsProcessors?: Readonly<Record<string, LogitsProcessorFactory>> | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
	/** Data-parallel rank, stamped on load, KV events and metrics. Default 0; ranks of `dpSize` are numbered by themselves. */
	readonly dpRank?: number | undefined;
	/**
	 * Data-parallel ranks: so many schedulers and KV caches over one copy of the weights. Limits are each rank's own, threads and
	 * memory those of all together. Default 1.
	 */
	readonly dpSize?: number | undefined;
	/** Moves KV blocks to and from other engines, so that prefill and decode can be apart. Whoever made it closes it. Default: none. */
	readonly kvTransfer?: KvTransferAgent | undefined;
	/** Time for a decode engine to fetch the blocks of a prefill before they are let go, ms. Default 30,000. TensorRT-LLM: kv_transfer_timeout_ms. */
	readonly kvTransferDeadlineMs?: number | undefined;
	/** How embeddings are made of hidden states. Default: as `1_Pooling/config.json` of the model says, else "mean". */
	readonly embeddingPooling?: Pooling | undefined;
	/** Called after every step. What it throws is logged. */
	readonly onIteration?: ((stats: IterationStats) => void) | undefined;
}

/** More would make answers stutter and save little: a row of 128 costs at most an eighth more than one of 512 (docs/benchmarks.md). */
const MAX_PROMPT_TOKENS_BESIDE_DECODING = 128;

export interface EngineLimits {
	readonly maxNumSeqs: number;
	readonly maxNumBatchedTokens: number;
	/** In a step with sequences that decode. Default: as many as a step may have. */
	readonly maxPromptTokensBesideDecoding?: number | undefined;
	readonly contextLength: number;
	readonly numKvBlocks: number;
	/** Of each rank. */
	readonly threads: number;
	readonly dpRank: number;
}

/**
 * Every limit, defaults applied.
 * @param kvBlockBytes one block, all layers
 * @throws DynError INVALID_ARGUMENT naming the option, OUT_OF_MEMORY when not even one block fits, or not the blocks that
 * were asked for: they take memory as they are written, so it would be missing only later, and end the process.
 */
export function resolveLimits(
	options: EmbeddedEngineOptions,
	spec: ModelSpec,
	kvBlockSize: number,
	kvBlockBytes: number,
): EngineLimits {
	const maxNumSeqs = count("maxNumSeqs", options.maxNumSeqs ?? 16);
	const maxNumBatchedTokens = Math.max(
		count("maxNumBatchedTokens", options.maxNumBatchedTokens ?? 512),
		maxNumSeqs,
	);
	const wanted = Math.min(count("maxSeqLen", options.maxSeqLen ?? spec.contextLength), spec.contextLength);
	const fraction = options.kvCacheMemoryFraction ?? 0.3;
	if (!(fraction > 0 && fraction <= 1))
		throw invalidArgument(
			"kvCacheMemoryFraction",
			`kvCacheMemoryFraction must be above 0 and at most 1, got ${fraction}`,
		);
	const dpSize = count("dpSize", options.dpSize ?? 1);
	const enough = maxNumSeqs * Math.ceil(wanted / kvBlockSize);
	const numKvBlocks =
		options.numKvBlocks === undefined
			? Math.min(enough, Math.floor((freeBytes() * fraction) / dpSize / kvBlockBytes))
			: count("numKvBlocks", options.numKvBlocks);
	if (numKvBlocks < 1) {
		throw new DynError(
			"OUT_OF_MEMORY",
			`the KV cache needs at least ${kvBlockBytes} bytes; free memory or raise kvCacheMemoryFraction (now ${fraction})`,
		);
	}
	if (numKvBlocks * kvBlockBytes > totalBytes()) {
		const [cache, memory] = [numKvBlocks * kvBlockBytes, totalBytes()].map((bytes) =>
			Math.round(bytes / 2 ** 20),
		);
		throw new DynError(
			"OUT_OF_MEMORY",
			`the KV cache of ${numKvBlocks} blocks takes ${cache} MiB, more than the ${memory} MiB that there are; use fewer blocks`,
		);
	}
	return {
		maxNumSeqs,
		maxNumBatchedTokens,
		maxPromptTokensBesideDecoding: MAX_PROMPT_TOKENS_BESIDE_DECODING,
		contextLength: Math.min(wanted, numKvBlocks * kvBlockSize),
		numKvBlocks,
		threads: Math.ceil(count("threads", options.threads ?? availableParallelism()) / dpSize),
		dpRank: count("dpRank", options.dpRank ?? 0, 0),
	};
}

/** What this process may still take, of the machine and of its container. */
function freeBytes(): number {
	return Math.min(freemem(), process.availableMemory());
}

/** What the machine, or the container where that is less, has at all. */
function totalBytes(): number {
	return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

function count(name: string, value: number, least: 0 | 1 = 1): number {
	if (Number.isSafeInteger(value) && value >= least) return value;
	throw invalidArgument(name, `${name} must be an integer of at least ${least}, got ${value}`);
}
