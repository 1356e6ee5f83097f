// SPDX-License-Identifier: Apache-2.0
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { startEventLoopCanary } from "./event-loop-canary.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

it("says how late the event loop is, and counts stalls", async () => {
	const metrics = createPrometheusMetrics();
	let now = 0;
	const stop = startEventLoopCanary(metrics, { monotonicMs: () => now, wallMs: () => 0 });
	/** The next turn of the timer comes after `ms`. */
	const turn = (ms: number) => {
		now += ms;
		vi.advanceTimersByTime(10);
	};
	turn(10);
	turn(9); // a timer may be early by less than a millisecond, never by that much: still not late
	turn(14);
	turn(130);
	const text = await metrics.expose();
	for (const line of [
		'dynamo_frontend_event_loop_delay_seconds_bucket{le="0"} 2',
		'dynamo_frontend_event_loop_delay_seconds_bucket{le="0.005"} 3',
		'dynamo_frontend_event_loop_delay_seconds_bucket{le="0.1"} 3',
		'dynamo_frontend_event_loop_delay_seconds_bucket{le="0.25"} 4',
		"dynamo_frontend_event_loop_stall_total 1",
	])
		expect(text.split("\n")).toContain(line);
	stop();
	expect(vi.getTimerCount()).toBe(0);
});
