// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";
import type { EngineLoad } from "@dyn/engine";
import type { Instance } from "@dyn/runtime";

/** What a worker shows of each rank's KV cache, by Dynamo's names. The engine is asked when somebody reads. */
export function showCacheUse(
	metrics: Metrics,
	{ id, path }: Pick<Instance, "id" | "path">,
	load: () => readonly EngineLoad[],
): void {
	const worker = {
		dynamo_namespace: path.namespace,
		dynamo_component: path.component,
		dynamo_endpoint: path.endpoint,
		worker_id: id.toString(16),
	};
	const labels = [...Object.keys(worker), "dp_rank"];
	const total = metrics.gauge({
		name: "dynamo_component_total_blocks",
		help: "KV blocks of a rank",
		labels,
	});
	const usage = metrics.gauge({
		name: "dynamo_component_gpu_cache_usage_percent",
		help: "Share of a rank's KV blocks that running sequences hold, 0 to 1",
		labels,
	});
	const hitRate = metrics.gauge({
		name: "dynamo_component_kv_cache_hit_rate",
		help: "Share of prompt tokens that were found in the KV cache, 0 to 1; absent until there is one",
		labels,
	});
	metrics.onCollect(() => {
		for (const { dpRank, totalKvBlocks, activeKvBlocks, kvCacheHitRate } of load()) {
			const rank = { ...worker, dp_rank: String(dpRank) };
			total.set(totalKvBlocks, rank);
			usage.set(totalKvBlocks > 0 ? activeKvBlocks / totalKvBlocks : 0, rank);
			if (kvCacheHitRate !== undefined) hitRate.set(kvCacheHitRate, rank);
		}
	});
}
