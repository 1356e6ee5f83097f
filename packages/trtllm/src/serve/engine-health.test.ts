// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode, silentLogger } from "@dyn/common";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { untilReady } from "./engine-health.js";

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

/** Waits for an engine that fails its first looks with `code`. */
const wait = (code: ErrorCode, failures = Number.POSITIVE_INFINITY) => {
	let looks = 0;
	const probe = async () => {
		if (looks++ < failures) throw new DynError(code, "not like this");
	};
	const options = { deadlineMs: 60_000, logger: silentLogger, signal: new AbortController().signal };
	const ready = untilReady(probe, options);
	ready.catch(() => {});
	return { ready, looks: () => looks };
};

it("asks an engine that is not there yet until it is", async () => {
	const { ready, looks } = wait("UNAVAILABLE", 10);
	await vi.advanceTimersByTimeAsync(10_000);
	await ready;
	expect(looks()).toBe(11);
});

it("gives one that never comes up its time, and says how to give it more", async () => {
	const { ready } = wait("DISCONNECTED");
	await vi.advanceTimersByTimeAsync(60_000);
	await expect(ready).rejects.toThrow("--engine-startup-deadline");
});

it.each(["INVALID_ARGUMENT", "UNIMPLEMENTED"] as const)(
	"does not wait for one that answers, but not to us: %s",
	async (code) => {
		const { ready, looks } = wait(code);
		await expect(ready).rejects.toMatchObject({ code, rawMessage: "not like this" });
		expect(looks()).toBe(1);
	},
);
