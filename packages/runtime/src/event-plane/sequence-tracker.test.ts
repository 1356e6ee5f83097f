// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { SequenceTracker } from "./sequence-tracker.js";

it("tells gaps, duplicates and stale events apart", () => {
	const tracker = new SequenceTracker();
	expect(tracker.observe(1n, 7n)).toEqual({ kind: "next", missed: 0n });
	expect(tracker.observe(1n, 8n)).toEqual({ kind: "next", missed: 0n });
	expect(tracker.observe(1n, 12n)).toEqual({ kind: "gap", missed: 3n });
	expect(tracker.observe(1n, 12n)).toEqual({ kind: "duplicate" });
	expect(tracker.observe(1n, 10n)).toEqual({ kind: "stale" });
	expect(tracker.expected(1n)).toBe(13n);
});

it("keeps publishers apart: a restarted one is new and begins at 0", () => {
	const tracker = new SequenceTracker();
	tracker.observe(1n, 500n);
	expect(tracker.observe(2n, 0n)).toEqual({ kind: "next", missed: 0n });
	expect(tracker.observe(1n, 501n)).toEqual({ kind: "next", missed: 0n });
});

it("counts what a publisher that is known from its beginning lost there", () => {
	const tracker = new SequenceTracker();
	tracker.expect(1n, 0n);
	expect(tracker.observe(1n, 2n)).toEqual({ kind: "gap", missed: 2n });
	tracker.expect(2n, 0n);
	expect(tracker.observe(2n, 0n)).toEqual({ kind: "next", missed: 0n });
});

it("forgets the publisher that was not heard of for longest", () => {
	const tracker = new SequenceTracker(2);
	tracker.observe(1n, 0n);
	tracker.observe(2n, 0n);
	tracker.observe(1n, 1n);
	tracker.observe(3n, 0n);
	expect(tracker.expected(2n)).toBeNull();
	expect(tracker.expected(1n)).toBe(2n);
});

it("counts beyond 2^53", () => {
	const tracker = new SequenceTracker();
	tracker.observe(2n ** 64n - 1n, 2n ** 63n);
	expect(tracker.observe(2n ** 64n - 1n, 2n ** 63n + 2n)).toEqual({ kind: "gap", missed: 1n });
});
