// SPDX-License-Identifier: Apache-2.0
import type { Clock, Metrics } from "@dyn/common";
import type { Traffic } from "../request-plane/request-plane.js";
import type { EndpointPath } from "../types.js";

const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];
const FIRST_RESPONSE_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const TRANSIT_BUCKETS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1];

/** How a request ended. */
export interface Ending {
	readonly cancelled: boolean;
	readonly error?: unknown;
}

/** One request's clock. */
export interface ComponentMeter {
	/** The first item is there. */
	responded(): void;
	end(ending: Ending): void;
}

/** `dynamo_component_*` and `dynamo_work_handler_*` series of one endpoint (names, labels and buckets as in Dynamo 1.6.1). */
export class ComponentMetrics {
	readonly #clock: Clock;
	readonly #labels;
	readonly #requests;
	readonly #inflight;
	readonly #duration;
	readonly #errors;
	readonly #cancellations;
	readonly #requestBytes;
	readonly #responseBytes;
	readonly #firstResponse;
	readonly #transit;

	/** @param id of the instance */
	constructor(metrics: Metrics, id: bigint, { namespace, component, endpoint }: EndpointPath, clock: Clock) {
		this.#clock = clock;
		this.#labels = {
			dynamo_namespace: namespace,
			dynamo_component: component,
			dynamo_endpoint: endpoint,
			worker_id: id.toString(16),
		};
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
		this.#cancellations.inc(this.#labels, 0); // as in Dynamo: there before the first one
		this.#requestBytes = metrics.counter({
			name: "dynamo_component_request_bytes_total",
			help: "Bytes of requests that came over a wire",
			labels,
		});
		this.#responseBytes = metrics.counter({
			name: "dynamo_component_response_bytes_total",
			help: "Bytes of answers that went over a wire, counted when an answer ends",
			labels,
		});
		this.#firstResponse = metrics.histogram({
			name: "dynamo_work_handler_time_to_first_response_seconds",
			help: "Time from call to first item",
			buckets: FIRST_RESPONSE_BUCKETS,
		});
		this.#transit = metrics.histogram({
			name: "dynamo_work_handler_network_transit_seconds",
			help: "Time from the caller's sending, by its own clock, to the call",
			buckets: TRANSIT_BUCKETS,
		});
	}

	/** @param sentAtMs when the caller sent the request, ms since the Unix epoch, or null */
	begin(sentAtMs: number | null): ComponentMeter {
		const began = this.#clock.monotonicMs();
		const seconds = () => (this.#clock.monotonicMs() - began) / 1000;
		if (sentAtMs !== null) this.#transit.observe(Math.max(0, this.#clock.wallMs() - sentAtMs) / 1000);
		this.#requests.inc(this.#labels);
		this.#inflight.inc(this.#labels);
		return {
			responded: () => this.#firstResponse.observe(seconds()),
			end: ({ cancelled, error }) => {
				this.#inflight.dec(this.#labels);
				this.#duration.observe(seconds(), this.#labels);
				if (cancelled) this.#cancellations.inc(this.#labels);
				else if (error !== undefined) this.#errors.inc({ ...this.#labels, error_type: "generate" });
			},
		};
	}

	/** A request and its answer took so much on the wire. */
	readonly traffic: Traffic = (requestBytes, responseBytes) => {
		this.#requestBytes.inc(this.#labels, requestBytes);
		this.#responseBytes.inc(this.#labels, responseBytes);
	};
}
