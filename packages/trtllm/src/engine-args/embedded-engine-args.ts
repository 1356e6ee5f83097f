// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
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
	| "isa"
	| "precision"
>;

/** TensorRT-LLM's names of what the embedded engine can set, and where they go. */
const KNOWN: Readonly<Record<string, keyof Limits>> = {
	max_batch_size: "maxNumSeqs",
	max_num_tokens: "maxNumBatchedTokens",
	max_seq_len: "maxSeqLen",
	"kv_cache_config.free_gpu_memory_fraction": "kvCacheMemoryFraction",
	"kv_cache_config.num_blocks": "numKvBlocks",
	threads: "threads",
	isa: "isa",
	precision: "precision",
};

/** Values that only say what is so anyway. */
const FIXED: Readonly<Record<string, unknown>> = {
	"kv_cache_config.tokens_per_block": 32,
	"kv_cache_config.enable_block_reuse": true,
};

/**
 * Merged engine arguments as options of the embedded engine.
 * @throws DynError INVALID_ARGUMENT naming an argument that it does not have: nothing is dropped silently
 */
export function embeddedEngineArgs(args: EngineArgs): Limits {
	const limits: Record<string, unknown> = {};
	for (const [path, value] of flatten(args, "")) {
		const name = KNOWN[path];
		if (name) limits[name] = value;
		else if (!(path in FIXED) || FIXED[path] !== value) {
			const hint =
				path in FIXED
					? `it is always ${FIXED[path]}`
					: `it has ${[...Object.keys(KNOWN), ...Object.keys(FIXED)].join(", ")}`;
			throw new DynError(
				"INVALID_ARGUMENT",
				`the embedded engine cannot honour ${path}: ${JSON.stringify(value)}; ${hint}`,
				{ details: { param: path } },
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
