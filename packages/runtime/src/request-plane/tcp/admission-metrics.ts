// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";
import type { Admission } from "./admission.js";

const WAIT_BUCKETS = [0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];

/** Hears of requests that did not begin at once. */
export interface AdmissionMeter {
	/** One that waited for its turn has it. */
	waited(ms: number): void;
	/** One was refused as overloaded. */
	refused(): void;
}

/** `dynamo_work_handler_*` series of what `admission` lets in (names and buckets as in Dynamo 1.6.1). */
export function meterAdmission(metrics: Metrics, admission: Admission): void {
	const wait = metrics.histogram({
		name: "dynamo_work_handler_permit_wait_seconds",
		help: "Time that requests waited for their turn, of those that had to",
		buckets: WAIT_BUCKETS,
	});
	const refusals = metrics.counter({
		name: "dynamo_rejection_request_total",
		help: "Requests refused because as many run and wait as may",
	});
	admission.meter = { waited: (ms) => wait.observe(ms / 1000), refused: () => refusals.inc() };
	const gauge = (name: string, help: string) => metrics.gauge({ name: `dynamo_work_handler_${name}`, help });
	const running = gauge("pool_active_tasks", "Requests that run");
	const waiting = gauge("queue_depth", "Requests that wait for their turn");
	const maxRunning = gauge("pool_capacity", "Requests that may run at once");
	const maxWaiting = gauge("queue_capacity", "Requests that may wait");
	metrics.onCollect(() => {
		running.set(admission.running);
		waiting.set(admission.waiting);
		maxRunning.set(admission.maxRunning);
		maxWaiting.set(admission.maxWaiting);
	});
}
