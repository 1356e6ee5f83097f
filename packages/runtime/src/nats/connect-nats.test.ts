// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { reconnectDelayMs } from "./connect-nats.js";

describe("reconnectDelayMs", () => {
	it("grows with the outage, from 100 ms to 2 s", () => {
		expect([0, 1000, 4000, 3_600_000].map((awayMs) => reconnectDelayMs(awayMs, 0))).toEqual([
			100, 100, 400, 2000,
		]);
	});

	it("adds up to a half, so that clients do not come back together", () => {
		expect(reconnectDelayMs(0, 1)).toBe(150);
		expect(reconnectDelayMs(3_600_000, 1)).toBe(3000);
	});
});
