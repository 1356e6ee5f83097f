// SPDX-License-Identifier: Apache-2.0
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { linkSignals } from "./link-signals.js";

describe("linkSignals", () => {
	it("aborts with the first signal and its reason", () => {
		const [a, b] = [new AbortController(), new AbortController()];
		const { signal } = linkSignals(a.signal, b.signal);
		b.abort("second");
		a.abort("first");
		expect(signal.reason).toBe("second");
	});

	it("is aborted at once when a signal already is", () => {
		expect(linkSignals(new AbortController().signal, AbortSignal.abort("early")).signal.reason).toBe("early");
	});

	it("lets many hang on one signal without a warning", async () => {
		const warnings: Error[] = [];
		const warn = (warning: Error) => void warnings.push(warning);
		process.on("warning", warn);
		const shared = new AbortController();
		for (let i = 0; i < 20; i++) linkSignals(shared.signal);
		const { signal } = linkSignals(shared.signal);
		for (let i = 0; i < 20; i++) signal.addEventListener("abort", () => {});
		await new Promise(setImmediate);
		process.off("warning", warn);
		expect(warnings).toEqual([]);
	});

	it("hangs many on a signal by one listener, so that ending one does not search the others", () => {
		const shared = new AbortController();
		const linked = Array.from({ length: 100 }, () =>
			linkSignals(new AbortController().signal, shared.signal),
		);
		expect(getEventListeners(shared.signal, "abort")).toHaveLength(1);
		for (const { unlink } of linked.slice(0, 50)) unlink();
		shared.abort("closed");
		expect(linked.map(({ signal }) => signal.reason)).toEqual([
			...Array(50).fill(undefined),
			...Array(50).fill("closed"),
		]);
	});

	it("does not hear of anything after unlink", () => {
		const a = new AbortController();
		const { signal, unlink } = linkSignals(a.signal);
		unlink();
		a.abort();
		expect(signal.aborted).toBe(false);
	});
});
