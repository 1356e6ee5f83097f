// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { pause } from "./pause.js";

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

it("ends after its time", async () => {
	let isOver = false;
	const over = pause(1000, new AbortController().signal).then(() => {
		isOver = true;
	});
	await vi.advanceTimersByTimeAsync(999);
	expect(isOver).toBe(false);
	await vi.advanceTimersByTimeAsync(1);
	await over;
});

it("ends when its signal aborts, at once when it did before, and leaves no timer", async () => {
	const abort = new AbortController();
	const waiting = pause(1000, abort.signal);
	abort.abort();
	await waiting;
	await pause(1000, abort.signal);
	expect(vi.getTimerCount()).toBe(0);
});
