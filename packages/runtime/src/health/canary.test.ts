// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { aborted } from "../__fixtures__/streams.js";
import { createCanary } from "./canary.js";

describe("canary", () => {
	const judge = (handler: Parameters<typeof createCanary>[0]["handler"]) => {
		const canary = createCanary({ handler, payload: "probe", waitMs: 60_000, timeoutMs: 20 });
		return canary.probe().finally(() => canary.close());
	};
	it("believes a whole answer", async () => {
		const payloads: unknown[] = [];
		expect(
			await judge(async function* (request) {
				payloads.push(request);
				yield 1;
			}),
		).toBe(true);
		expect(payloads).toEqual(["probe"]);
	});
	it("does not believe an empty answer, an error, or one that freezes after its first item", async () => {
		expect(await judge(async function* () {})).toBe(false);
		expect(
			await judge(async function* () {
				yield 1;
				throw new Error("broken");
			}),
		).toBe(false);
		expect(
			await judge(async function* (_request, { signal }) {
				yield 1;
				await aborted(signal);
			}),
		).toBe(false);
	});

	describe("over time", () => {
		beforeEach(() => {
			vi.useFakeTimers();
		});
		afterEach(() => {
			vi.useRealTimers();
		});

		it("finds a handler that is frozen even to aborts, asks it no second time, and sees it thaw", async () => {
			let asked = 0;
			let thaw!: () => void;
			const canary = createCanary({
				async *handler() {
					asked++;
					yield 1;
					await new Promise<void>((resolve) => {
						thaw = resolve;
					});
				},
				payload: "probe",
				waitMs: 1000,
				timeoutMs: 100,
			});
			await vi.advanceTimersByTimeAsync(1100);
			expect([canary.healthy, asked]).toEqual([false, 1]);
			await vi.advanceTimersByTimeAsync(10_000);
			expect([canary.healthy, asked]).toEqual([false, 1]);
			thaw();
			await vi.advanceTimersByTimeAsync(1000);
			expect(asked).toBe(2);
			thaw();
			await vi.advanceTimersByTimeAsync(0);
			expect(canary.healthy).toBe(true);
			canary.close();
		});

		it("leaves a busy endpoint alone, but not a busy one that failed", async () => {
			let works = true;
			let asked = 0;
			const canary = createCanary({
				async *handler() {
					asked++;
					if (works) yield 1;
				},
				payload: "probe",
				waitMs: 1000,
			});
			const busyFor = async (ms: number) => {
				for (let passed = 0; passed < ms; passed += 100) {
					canary.touch();
					await vi.advanceTimersByTimeAsync(100);
				}
			};
			await busyFor(5000);
			expect(asked).toBe(0);
			works = false;
			await canary.probe();
			expect(canary.healthy).toBe(false);
			works = true;
			await busyFor(1000);
			expect([canary.healthy, asked]).toEqual([true, 2]);
			canary.close();
		});

		it("asks nothing after it was closed, also when that was in mid-probe", async () => {
			let asked = 0;
			const canary = createCanary({
				async *handler(_request, { signal }) {
					asked++;
					yield 1;
					await aborted(signal);
				},
				payload: "probe",
				waitMs: 1000,
			});
			await vi.advanceTimersByTimeAsync(1000);
			canary.close();
			canary.touch();
			await vi.advanceTimersByTimeAsync(60_000);
			expect([asked, canary.healthy]).toEqual([1, true]);
			expect(vi.getTimerCount()).toBe(0);
		});
	});
});
