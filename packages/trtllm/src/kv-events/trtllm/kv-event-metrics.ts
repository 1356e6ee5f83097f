// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";

/** Edges of `trtllm_kv_event_drain_batch_size`, events (Dynamo's): powers of two up to 131,072. */
const BATCH_BUCKETS = Array.from({ length: 18 }, (_, i) => 2 ** i);

/** What happens to an engine's KV events on their way; the first three by Dynamo's names. */
export class KvEventMetrics {
	readonly #capacity;
	readonly #batchSize;
	readonly #lost;
	readonly #filtered;
	readonly #mismatched;

	constructor(metrics: Metrics) {
		this.#capacity = metrics.gauge({
			name: "trtllm_kv_event_buffer_capacity",
			help: "KV events that the engine keeps before it drops the oldest",
		});
		this.#batchSize = metrics.histogram({
			name: "trtllm_kv_event_drain_batch_size",
			help: "KV events that the engine gave at once",
			buckets: BATCH_BUCKETS,
		});
		this.#lost = metrics.counter({
			name: "trtllm_kv_event_id_gap_events_total",
			help: "KV events, or streamed batches of them, that were lost: their numbers are missing",
		});
		this.#filtered = metrics.counter({
			name: "dyn_kv_events_filtered_total",
			help: "KV events and blocks that are of no use to routers",
			labels: ["reason"],
		});
		this.#mismatched = metrics.counter({
			name: "dyn_kv_event_hash_mismatches_total",
			help: "KV blocks whose hash is not what the engine's algorithm gives for their tokens",
		});
	}

	capacity(events: number): void {
		this.#capacity.set(events);
	}

	drained(events: number): void {
		this.#batchSize.observe(events);
	}

	lost(count: number): void {
		this.#lost.inc({}, count);
	}

	filtered(reason: string): void {
		this.#filtered.inc({ reason });
	}

	mismatched(): void {
		this.#mismatched.inc();
	}
}
