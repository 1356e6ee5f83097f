// SPDX-License-Identifier: Apache-2.0
import { type Clock, type Metrics, systemClock } from "@dyn/common";

const PERIOD_MS = 10;
/** A delay above this is a stall, ms. */
const STALL_MS = 5;

/**
 * Measures how late the event loop is: what every open stream waits. Series, period and bounds as in Dynamo.
 * @returns what ends it
 */
export function startEventLoopCanary(metrics: Metrics, clock: Clock = systemClock): () => void {
	const delay = metrics.histogram({
		name: "dynamo_frontend_event_loop_delay_seconds",
		help: "How late a timer of 10 ms is",
		buckets: [0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
	});
	const stalls = metrics.counter({
		name: "dynamo_frontend_event_loop_stall_total",
		help: "Times that the event loop was more than 5 ms late",
	});
	let due = clock.monotonicMs() + PERIOD_MS;
	const timer = setInterval(() => {
		const now = clock.monotonicMs();
		const lateMs = Math.max(0, now - due);
		delay.observe(lateMs / 1000);
		if (lateMs > STALL_MS) stalls.inc();
		due = now + PERIOD_MS;
	}, PERIOD_MS);
	timer.unref();
	return () => clearInterval(timer);
}
