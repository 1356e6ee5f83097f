// SPDX-License-Identifier: Apache-2.0
import type { MetricLabels, MetricOptions, Metrics } from "@dyn/common";
import type { EngineLoad } from "@dyn/engine";
import type { SpeculationStats } from "../speculation/speculation.js";

/** Series of the embedded engine; the `trtllm_` names are TensorRT-LLM's. */
export class EngineMetrics {
	readonly #steps;
	readonly #tokens;
	readonly #preemptions;
	readonly #drafted;
	readonly #accepted;
	readonly #labels: MetricLabels;
	#guesses: SpeculationStats = { rounds: 0, guessed: 0, accepted: 0 };

	constructor(metrics: Metrics, load: () => EngineLoad, dpRank: string) {
		const labels = { dp_rank: dpRank };
		this.#labels = labels;
		const names = Object.keys(labels);
		const counter = (options: MetricOptions) => metrics.counter({ ...options, labels: names });
		const gauge = (options: MetricOptions) => metrics.gauge({ ...options, labels: names });
		this.#steps = counter({ name: "dyn_engine_steps_total", help: "Steps of the embedded engine" });
		this.#tokens = counter({
			name: "dyn_engine_generated_tokens_total",
			help: "Tokens chosen by the embedded engine",
		});
		this.#preemptions = counter({
			name: "dyn_engine_preemptions_total",
			help: "Sequences that gave their KV blocks back and waited again",
		});
		this.#drafted = counter({
			name: "trtllm_spec_decode_drafted_tokens_total",
			help: "Tokens that were guessed and computed ahead",
		});
		this.#accepted = counter({
			name: "trtllm_spec_decode_accepted_tokens_total",
			help: "Of these, tokens that came true",
		});
		const acceptanceLength = gauge({
			name: "trtllm_spec_decode_acceptance_length",
			help: "Tokens that a sequence with guesses gains in a step, on average since the start",
		});
		const utilization = gauge({
			name: "trtllm_kv_cache_utilization",
			help: "Share of the KV blocks that running sequences hold",
		});
		const hitRate = gauge({
			name: "trtllm_kv_cache_hit_rate",
			help: "Share of prompt tokens that were found in the KV cache",
		});
		const gauges = {
			runningSequences: gauge({
				name: "dyn_engine_running_sequences",
				help: "Sequences with a slot",
			}),
			waitingSequences: gauge({
				name: "dyn_engine_waiting_sequences",
				help: "Sequences without a slot",
			}),
			activeKvBlocks: gauge({
				name: "dyn_engine_active_kv_blocks",
				help: "KV blocks held by sequences",
			}),
			cachedKvBlocks: gauge({
				name: "dyn_engine_cached_kv_blocks",
				help: "KV blocks kept for reuse",
			}),
			totalKvBlocks: gauge({ name: "dyn_engine_total_kv_blocks", help: "KV blocks" }),
		} as const;
		metrics.onCollect(() => {
			const { rounds, accepted } = this.#guesses;
			if (rounds > 0) acceptanceLength.set(1 + accepted / rounds, labels);
			const now = load();
			for (const [name, gauge] of Object.entries(gauges)) gauge.set(now[name as keyof typeof gauges], labels);
			utilization.set(now.activeKvBlocks / now.totalKvBlocks, labels);
			if (now.kvCacheHitRate !== undefined) hitRate.set(now.kvCacheHitRate, labels);
		});
	}

	/** @param guesses all so far */
	step(tokens: number, preemptions: number, guesses: SpeculationStats): void {
		this.#steps.inc(this.#labels);
		this.#tokens.inc(this.#labels, tokens);
		if (preemptions > 0) this.#preemptions.inc(this.#labels, preemptions);
		if (guesses.guessed === this.#guesses.guessed) return;
		this.#drafted.inc(this.#labels, guesses.guessed - this.#guesses.guessed);
		this.#accepted.inc(this.#labels, guesses.accepted - this.#guesses.accepted);
		this.#guesses = { ...guesses };
	}
}
