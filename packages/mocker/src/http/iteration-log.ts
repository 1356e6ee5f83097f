// SPDX-License-Identifier: Apache-2.0
import type { EngineInfo, EngineLoad } from "@dyn/engine";
import type { IterationStats } from "@dyn/trtllm-native/core";

/** Iterations that are kept for `GET /metrics`. */
const KEPT = 1000;

/** Statistics of the latest steps, in TensorRT-LLM's form (`enable_iter_perf_stats`), until they are fetched. */
export class IterationLog {
	readonly #stats: { readonly stats: IterationStats; readonly dpRank: number }[] = [];

	/** Give it to the engine as `onIteration`. */
	readonly onIteration = (stats: IterationStats, dpRank: number): void => {
		this.#stats.push({ stats, dpRank });
		if (this.#stats.length > KEPT) this.#stats.shift();
	};

	/** Everything since the last call. */
	drain(info: EngineInfo): readonly object[] {
		return this.#stats.splice(0).map(({ stats, dpRank }) => toIteration(stats, dpRank, info));
	}
}

function toIteration(stats: IterationStats, attentionDpRank: number, info: EngineInfo): object {
	const { totalKvBlocks: maxNumBlocks } = info;
	const usedNumBlocks = Math.round(stats.kvCacheUtilization * maxNumBlocks);
	const numGenRequests = stats.rows - stats.promptRows;
	return {
		timestamp: new Date().toISOString(),
		iter: stats.iteration,
		iterLatencyMS: stats.elapsedMs,
		attentionDpRank,
		numActiveRequests: stats.runningSequences,
		numQueuedRequests: stats.waitingSequences,
		maxNumActiveRequests: info.maxNumSeqs,
		maxBatchSizeStatic: info.maxNumSeqs,
		maxNumTokensStatic: info.maxNumBatchedTokens,
		kvCacheStats: {
			maxNumBlocks,
			freeNumBlocks: maxNumBlocks - usedNumBlocks,
			usedNumBlocks,
			tokensPerBlock: info.kvBlockSize,
			cacheHitRate: stats.promptTokens === 0 ? 0 : stats.cachedTokens / stats.promptTokens,
		},
		inflightBatchingStats: {
			numScheduledRequests: stats.runningSequences,
			numContextRequests: stats.runningSequences - Math.min(stats.runningSequences, numGenRequests),
			numGenRequests,
			numPausedRequests: 0,
			numCtxTokens: stats.promptRows,
			microBatchId: 0,
			avgNumDecodedTokensPerIter: 1,
		},
	};
}

/** `GET /prometheus/metrics`: those gauges that the load of an engine gives. */
export function prometheusText(loads: readonly EngineLoad[]): string {
	const sum = (of: (load: EngineLoad) => number) => loads.reduce((total, load) => total + of(load), 0);
	const used = sum(({ activeKvBlocks }) => activeKvBlocks);
	const total = sum(({ totalKvBlocks }) => totalKvBlocks);
	const gauges = {
		num_requests_running: sum(({ runningSequences }) => runningSequences),
		num_requests_waiting: sum(({ waitingSequences }) => waitingSequences),
		kv_cache_utilization: used / total,
		kv_cache_used_blocks: used,
		kv_cache_free_blocks: total - used,
		kv_cache_max_blocks: total,
	};
	return Object.entries(gauges)
		.map(([name, value]) => `# TYPE trtllm_${name} gauge\ntrtllm_${name} ${value}\n`)
		.join("");
}
