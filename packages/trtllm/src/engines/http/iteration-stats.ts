// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** One iteration of the engine, as `GET /metrics` has it; the fields that are used here. Needs `enable_iter_perf_stats`. */
export interface IterationStats {
	readonly iter: number;
	readonly numActiveRequests: number;
	readonly numQueuedRequests: number;
	readonly kvCacheStats: {
		readonly maxNumBlocks: number;
		readonly freeNumBlocks: number;
		readonly usedNumBlocks: number;
		readonly tokensPerBlock: number;
		readonly cacheHitRate: number | null;
	} | null;
}

/**
 * The iterations since the last call by anybody; none when the engine was idle, or keeps no statistics.
 * @throws DynError INTERNAL for what is no such list
 */
export function iterationStats(answer: unknown): readonly IterationStats[] {
	if (!Array.isArray(answer))
		throw new DynError("INTERNAL", "the server's /metrics is no list of iterations");
	return answer.map((item: Record<string, unknown> | null) => {
		const kv = item?.["kvCacheStats"] as Record<string, unknown> | null | undefined;
		return {
			iter: number(item, "iter"),
			numActiveRequests: number(item, "numActiveRequests"),
			numQueuedRequests: number(item, "numQueuedRequests"),
			kvCacheStats: kv
				? {
						maxNumBlocks: number(kv, "maxNumBlocks"),
						freeNumBlocks: number(kv, "freeNumBlocks"),
						usedNumBlocks: number(kv, "usedNumBlocks"),
						tokensPerBlock: number(kv, "tokensPerBlock"),
						cacheHitRate: typeof kv["cacheHitRate"] === "number" ? kv["cacheHitRate"] : null,
					}
				: null,
		};
	});
}

function number(item: Readonly<Record<string, unknown>> | null, name: string): number {
	const value = item?.[name];
	if (typeof value === "number") return value;
	throw new DynError("INTERNAL", `the server's /metrics has an iteration without ${name}`);
}
