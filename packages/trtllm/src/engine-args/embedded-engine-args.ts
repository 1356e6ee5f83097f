// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { EmbeddedEngineOptions } from "@dyn/trtllm-native";
import type { EngineArgs } from "./merge-engine-args.js";

type Limits = Pick<
	EmbeddedEngineOptions,
	| "maxNumSeqs"
	| "maxNumBatchedTokens"
	| "maxSeqLen"
	| "kvCacheMemoryFraction"
	| "numKvBlocks"
	| "threads"
	| "dpSize"
	| "isa"
	| "precision"
	| "quantization"
	| "embeddingPooling"
	| "speculativeMode"
	| "speculativeTokens"
	| "draftModelPath"
>;

interface Known {
	readonly option: keyof Limits;
	/** What the value must be, in words, and whether it is. */
	readonly must: readonly [words: string, holds: (value: unknown) => boolean];
}

const COUNT: Known["must"] = [
	"be a positive integer",
	(value) => Number.isSafeInteger(value) && (value as number) > 0,
];
const SHARE: Known["must"] = [
	"be a number above 0 and at most 1",
	(value) => typeof value === "number" && value > 0 && value <= 1,
];
const TEXT: Known["must"] = ["be a text", (value) => typeof value === "string" && value !== ""];
const oneOf = (...choices: readonly string[]): Known["must"] => [
	`be one of ${choices.join(", ")}`,
	(value) => choices.includes(value as string),
];

/** TensorRT-LLM's names of what the embedded engine can set, and where they go. */
const KNOWN: ReadonlyMap<string, Known> = new Map<string, Known>([
	["max_batch_size", { option: "maxNumSeqs", must: COUNT }],
	["max_num_tokens", { option: "maxNumBatchedTokens", must: COUNT }],
	["max_seq_len", { option: "maxSeqLen", must: COUNT }],
	["kv_cache_config.free_gpu_memory_fraction", { option: "kvCacheMemoryFraction", must: SHARE }],
	["kv_cache_config.num_blocks", { option: "numKvBlocks", must: COUNT }],
	["threads", { option: "threads", must: COUNT }],
	["attention_dp_size", { option: "dpSize", must: COUNT }],
	["isa", { option: "isa", must: oneOf("amx", "avx512", "avx2", "portable") }],
	["precision", { option: "precision", must: oneOf("auto", "f32") }],
	["quantization", { option: "quantization", must: oneOf("int8", "int4") }],
	["embedding_pooling", { option: "embeddingPooling", must: oneOf("mean", "last") }],
	["speculative_mode", { option: "speculativeMode", must: oneOf("off", "prompt-lookup", "draft") }],
	["speculative_tokens", { option: "speculativeTokens", must: COUNT }],
	["draft_model", { option: "draftModelPath", must: TEXT }],
]);

/** Values that only say what is so anyway. */
const FIXED: ReadonlyMap<string, unknown> = new Map<string, unknown>([
	["kv_cache_config.tokens_per_block", 32],
	["kv_cache_config.enable_block_reuse", true],
]);

/**
 * Merged engine arguments as options of the embedded engine.
 * @throws DynError INVALID_ARGUMENT naming an argument that it does not have or whose value is wrong: nothing is
 * dropped silently
 */
export function embeddedEngineArgs(args: EngineArgs): Limits {
	const limits: Record<string, unknown> = {};
	for (const [path, value] of flatten(args, "")) {
		const known = KNOWN.get(path);
		if (known) {
			const [words, holds] = known.must;
			if (!holds(value)) throw invalidArgument(path, `${path} must ${words}, got ${JSON.stringify(value)}`);
			limits[known.option] = value;
		} else if (!FIXED.has(path) || FIXED.get(path) !== value) {
			const hint = FIXED.has(path)
				? `it is always ${FIXED.get(path)}`
				: `it has ${[...KNOWN.keys(), ...FIXED.keys()].join(", ")}`;
			throw invalidArgument(
				path,
				`the embedded engine cannot honour ${path}: ${JSON.stringify(value)}; ${hint}`,
			);
		}
	}
	return limits;
}

function flatten(args: EngineArgs, prefix: string): [string, unknown][] {
	return Object.entries(args).flatMap(([key, value]): [string, unknown][] => {
		const path = prefix ? `${prefix}.${key}` : key;
		const nested = typeof value === "object" && value !== null && !Array.isArray(value);
		return value === undefined || value === null
			? []
			: nested
				? flatten(value as EngineArgs, path)
				: [[path, value]];
	});
}
