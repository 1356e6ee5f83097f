// SPDX-License-Identifier: Apache-2.0
import { type Clock, DynError, type Metrics } from "@dyn/common";
import type { EndpointPath } from "../types.js";

const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** `dynamo_component_*` series of one endpoint (names and labels as in Dynamo). */
export class ComponentMetrics {
	readonly #clock: Clock;
	readonly #labels;
	readonly #requests;
	readonly #inflight;
	readonly #duration;
	readonly #errors;
	readonly #cancellations;

	constructor(metrics: Metrics, { namespace, component, endpoint }: EndpointPath, clock: Clock) {
		this.#clock = clock;
		this.#labels = { dynamo_namespace: namespace, dynamo_component: component, dynamo_endpoint: endpoint };
		const labels = Object.keys(this.#labels);
		this.#requests = metrics.counter({
			name: "dynamo_component_requests_total",
			help: "Requests served",
			labels,
		});
		this.#inflight = metrics.gauge({
			name: "dynamo_component_inflight_requests",
			help: "Requests being served",
			labels,
		});
		this.#duration = metrics.histogram({
			name: "dynamo_component_request_duration_seconds",
			help: "Time from call to end of stream",
			labels,
			buckets: DURATION_BUCKETS,
		});
		this.#errors = metrics.counter({
			name: "dynamo_component_errors_total",
			help: "Requests that failed",
			labels: [...labels, "error_type"],
		});
		this.#cancellations = metrics.counter({
			name: "dynamo_component_cancellation_total",
			help: "Requests whose caller went away",
			labels,
		});
	}

	/** Call at the start of a request; call what it returns at the end, with what was thrown if anything was. */
	begin(): (ending: { readonly cancelled: boolean; readonly error?: unknown }) => void {
		const began = this.#clock.monotonicMs();
		this.#requests.inc(this.#labels);
		this.#inflight.inc(this.#labels);
		return ({ cancelled, error }) => {
			this.#inflight.dec(this.#labels);
			this.#duration.observe((this.#clock.monotonicMs() - began) / 1000, this.#labels);
			if (cancelled) this.#cancellations.inc(this.#labels);
			else if (error !== undefined)
				this.#errors.inc({ ...this.#labels, error_type: DynError.from(error).code.toLowerCase() });
		};
	}
}
