// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";

/** Transfers as the fetching side sees them, under the names and buckets of Dynamo's TensorRT-LLM workers. */
export class TransferMetrics {
	readonly #success;
	readonly #failure;
	readonly #latency;
	readonly #bytes;
	readonly #speed;

	constructor(metrics: Metrics) {
		this.#success = metrics.counter({
			name: "trtllm_kv_transfer_success_total",
			help: "Transfers of KV blocks that were completed",
		});
		this.#failure = metrics.counter({
			name: "trtllm_kv_transfer_failure_total",
			help: "Transfers of KV blocks that failed: the prompt was computed again",
		});
		this.#latency = metrics.histogram({
			name: "trtllm_kv_transfer_latency_seconds",
			help: "Time of a completed transfer",
			buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
		});
		this.#bytes = metrics.histogram({
			name: "trtllm_kv_transfer_bytes",
			help: "Size of a completed transfer",
			buckets: [1e5, 5e5, 1e6, 5e6, 1e7, 5e7, 1e8, 5e8, 1e9, 5e9],
		});
		this.#speed = metrics.histogram({
			name: "trtllm_kv_transfer_speed_gb_s",
			help: "Speed of a completed transfer, 10^9 bytes a second",
			buckets: [0.1, 0.5, 1, 5, 10, 25, 50, 100, 250, 500],
		});
	}

	completed(bytes: number, elapsedMs: number): void {
		this.#success.inc();
		this.#latency.observe(elapsedMs / 1000);
		this.#bytes.observe(bytes);
		if (elapsedMs > 0) this.#speed.observe(bytes / (elapsedMs * 1e6));
	}

	failed(): void {
		this.#failure.inc();
	}
}
