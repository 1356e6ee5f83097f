// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";

/** Dynamo's bounds of what a request waits for before an instance has it. */
const BUCKETS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5];

/** What a request goes through, in this order: template and tokens; the choice of an instance; waiting for its first output. */
export type Stage = "preprocess" | "route" | "dispatch";

/**
 * `dynamo_frontend_stage_*` series. As in Dynamo 1.6.1 what waits for its first output is in stage "dispatch", and the
 * time that it took is the duration of "transport_roundtrip".
 */
export class Stages {
	readonly #durations;
	readonly #requests;

	constructor(metrics: Metrics) {
		this.#durations = metrics.histogram({
			name: "dynamo_frontend_stage_duration_seconds",
			help: "Time that a stage of the pipeline takes",
			labels: ["stage"],
			buckets: BUCKETS,
		});
		this.#requests = metrics.gauge({
			name: "dynamo_frontend_stage_requests",
			help: "Requests in a stage of the pipeline",
			labels: ["stage", "phase"],
		});
	}

	/** A request enters a stage; the function ends it, once however often it is called. */
	enter(stage: Stage, duration: string = stage): () => void {
		const labels = { stage, phase: stage === "preprocess" ? "" : "aggregated" };
		const began = performance.now();
		this.#requests.inc(labels);
		let isIn = true;
		return () => {
			if (!isIn) return;
			isIn = false;
			this.#requests.dec(labels);
			this.#durations.observe((performance.now() - began) / 1000, { stage: duration });
		};
	}

	/** `work` as a stage, whether it fails or not. */
	async within<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
		const leave = this.enter(stage);
		try {
			return await work();
		} finally {
			leave();
		}
	}
}
