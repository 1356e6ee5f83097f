// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { DYNAMO_TIMING, stepMs } from "./timing.js";

const work = { prefillTokens: 0, decodeSequences: 0, decodeContextTokens: 0, kvCapacityTokens: 1000 };
const speed = { speedupRatio: 1, decodeSpeedupRatio: 1 };

it("takes as long as Dynamo's polynomials say", () => {
	expect(stepMs(DYNAMO_TIMING, work, speed)).toBe(0);
	expect(stepMs(DYNAMO_TIMING, { ...work, prefillTokens: 1000 }, speed)).toBeCloseTo(32.105_85, 4);
	expect(stepMs(DYNAMO_TIMING, { ...work, decodeSequences: 1, decodeContextTokens: 500 }, speed)).toBeCloseTo(
		26.31,
		4,
	);
});

it("is divided by the speedups, and nothing at 0 and infinity", () => {
	const decode = { ...work, decodeSequences: 1, decodeContextTokens: 500 };
	expect(stepMs(DYNAMO_TIMING, decode, { speedupRatio: 2, decodeSpeedupRatio: 3 })).toBeCloseTo(26.31 / 6, 4);
	for (const speedupRatio of [0, Number.POSITIVE_INFINITY])
		expect(stepMs(DYNAMO_TIMING, decode, { ...speed, speedupRatio })).toBe(0);
});
