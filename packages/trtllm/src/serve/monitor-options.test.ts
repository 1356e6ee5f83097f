// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { monitorOptions } from "./monitor-options.js";

it.each([
	[undefined, undefined, 2000, 90_000],
	["", " ", 2000, 90_000],
	["0.5", "10", 500, 10_000],
	["-1", "-0.5", 0, 0],
	["soon", "NaN", 2000, 90_000],
	["0", "Infinity", 0, 90_000],
])("interval %j and timeout %j are %d and %d ms", (interval, timeout, intervalMs, shutdownTimeoutMs) =>
	expect(
		monitorOptions({
			DYN_TRTLLM_HEALTH_CHECK_INTERVAL: interval,
			DYN_TRTLLM_HEALTH_SHUTDOWN_TIMEOUT: timeout,
		}),
	).toEqual({ intervalMs, shutdownTimeoutMs }),
);
