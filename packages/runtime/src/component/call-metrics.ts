// SPDX-License-Identifier: Apache-2.0
import type { Clock, Metrics } from "@dyn/common";

const ROUNDTRIP_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** One call's clock. */
export interface CallMeter {
	/** The first item came. */
	responded(): void;
	end(): void;
}

/** `dynamo_request_plane_*` series of all calls of a process (names and buckets as in Dynamo). */
export class CallMetrics {
	readonly #clock: Clock;
	readonly #inflight;
	readonly #roundtrip;

	constructor(metrics: Metrics, clock: Clock) {
		this.#clock = clock;
		this.#inflight = metrics.gauge({
			name: "dynamo_request_plane_inflight_requests",
			help: "Calls of instances that have not ended",
		});
		this.#roundtrip = metrics.histogram({
			name: "dynamo_request_plane_roundtrip_ttft_seconds",
			help: "Time from sending a request to an instance to the first item of its answer",
			buckets: ROUNDTRIP_BUCKETS,
		});
	}

	begin(): CallMeter {
		const began = this.#clock.monotonicMs();
		this.#inflight.inc();
		return {
			responded: () => this.#roundtrip.observe((this.#clock.monotonicMs() - began) / 1000),
			end: () => this.#inflight.dec(),
		};
	}
}
