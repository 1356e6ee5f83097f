// SPDX-License-Identifier: Apache-2.0
import { DynError, silentLogger } from "@dyn/common";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Contact } from "./contact.js";
import type { WatchObserver } from "./etcd-calls.js";
import { watchPrefix } from "./prefix-watch.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const HOLD_MS = 10_000;

/** An etcd of one prefix, with a connection that can be broken. */
class FakeEtcd {
	entries = new Map<string, string>();
	revision = 7n;
	readonly followed: bigint[] = [];
	away = false;
	observer: WatchObserver | null = null;
	break: (error: Error) => void = () => {};

	list = async () => {
		if (this.away) throw new DynError("UNAVAILABLE", "etcd is away");
		return { entries: new Map(this.entries), revision: this.revision };
	};

	/** Leases that live. */
	readonly leases = new Set<string>();

	leaseLives = async (leaseId: string) => this.leases.has(leaseId);

	follow = (
		_prefix: string,
		revision: bigint,
		signal: AbortSignal,
		observer: WatchObserver,
	): Promise<never> => {
		this.followed.push(revision);
		this.observer = observer;
		observer.live();
		return new Promise((_resolve, reject) => {
			this.break = reject;
			signal.addEventListener("abort", () => reject(signal.reason));
		});
	};
}

function watch(etcd: FakeEtcd) {
	const contact = new Contact(silentLogger);
	const stop = new AbortController();
	const told: string[] = [];
	const ended = (async () => {
		for await (const event of watchPrefix(etcd, contact, "v1/", HOLD_MS, stop.signal))
			told.push(Object.values(event).join(" "));
	})();
	return { contact, stop, told, ended };
}

test("begins every connection with a list and tells only what differs", async () => {
	const etcd = new FakeEtcd();
	etcd.entries = new Map([
		["a", "1"],
		["b", "1"],
	]);
	const { contact, stop, told, ended } = watch(etcd);
	await vi.advanceTimersByTimeAsync(0);
	expect(told.splice(0)).toEqual(["put a 1", "put b 1", "synced"]);
	etcd.observer?.put("c", "1");
	await vi.advanceTimersByTimeAsync(0);
	expect(told.splice(0)).toEqual(["put c 1"]);

	etcd.revision = 90n;
	etcd.entries = new Map([
		["b", "1"],
		["c", "2"],
	]);
	etcd.break(new DynError("INTERNAL", "compacted"));
	await vi.advanceTimersByTimeAsync(0);
	expect(contact.connected).toBe(false);
	await vi.advanceTimersByTimeAsync(1000);
	expect(contact.connected).toBe(true);
	expect(told.splice(0)).toEqual(["put c 2"]);
	await vi.advanceTimersByTimeAsync(HOLD_MS);
	expect(told).toEqual(["delete a"]);
	expect(etcd.followed).toEqual([7n, 90n]);
	stop.abort();
	await ended;
});

test("waits for an etcd that is not there, and can be stopped meanwhile", async () => {
	const etcd = new FakeEtcd();
	etcd.away = true;
	const [one, other] = [watch(etcd), watch(etcd)];
	await vi.advanceTimersByTimeAsync(10_000);
	expect(one.told).toEqual([]);
	expect(one.contact.connected).toBe(false);
	other.stop.abort();
	await other.ended;
	etcd.away = false;
	await vi.advanceTimersByTimeAsync(1000);
	expect(one.told).toEqual(["synced"]);
	expect(etcd.followed.length).toBe(1);
	expect(vi.getTimerCount()).toBe(0);
	// The first try after a good connection is a quick one again.
	etcd.break(new DynError("UNAVAILABLE", "etcd is away"));
	await vi.advanceTimersByTimeAsync(100);
	expect(etcd.followed.length).toBe(2);
	one.stop.abort();
	await one.ended;
});

test("does not begin when it was stopped before", async () => {
	const etcd = new FakeEtcd();
	const events = watchPrefix(etcd, new Contact(silentLogger), "v1/", HOLD_MS, AbortSignal.abort());
	expect(await events.next()).toEqual({ value: undefined, done: true });
	expect(etcd.followed).toEqual([]);
});

describe("keys that are gone", () => {
	async function watchTwo() {
		const etcd = new FakeEtcd();
		etcd.entries = new Map([
			["v1/e/1", "one"],
			["v1/e/2", "two"],
		]);
		const watched = watch(etcd);
		await vi.advanceTimersByTimeAsync(0);
		watched.told.length = 0;
		return { etcd, ...watched };
	}

	test("go at once when their owner deleted them", async () => {
		const { etcd, told, stop, ended } = await watchTwo();
		etcd.leases.add("alive");
		etcd.observer?.gone("v1/e/2", "alive");
		await vi.advanceTimersByTimeAsync(0);
		expect(told).toEqual(["delete v1/e/2"]);
		stop.abort();
		await ended;
		expect(vi.getTimerCount()).toBe(0);
	});

	test("stay for a while when their lease ended, for who is left may be dead", async () => {
		const { etcd, told, stop, ended } = await watchTwo();
		etcd.observer?.gone("v1/e/1", "lost");
		etcd.observer?.gone("v1/e/2", "lost");
		await vi.advanceTimersByTimeAsync(HOLD_MS - 1);
		expect(told).toEqual([]);
		etcd.observer?.put("v1/e/2", "two");
		await vi.advanceTimersByTimeAsync(HOLD_MS);
		expect(told).toEqual(["delete v1/e/1"]);
		etcd.observer?.gone("v1/e/2", "lost");
		await vi.advanceTimersByTimeAsync(HOLD_MS);
		expect(told).toEqual(["delete v1/e/1", "delete v1/e/2"]);
		stop.abort();
		await ended;
	});

	test("stay for a while when a new list has only somebody else", async () => {
		const { etcd, told, stop, ended } = await watchTwo();
		etcd.entries = new Map([["v1/e/3", "three"]]);
		etcd.break(new DynError("INTERNAL", "compacted"));
		await vi.advanceTimersByTimeAsync(1000);
		expect(told.splice(0)).toEqual(["put v1/e/3 three"]);
		etcd.observer?.put("v1/e/1", "one");
		await vi.advanceTimersByTimeAsync(HOLD_MS);
		expect(told).toEqual(["delete v1/e/2"]);
		stop.abort();
		await ended;
		expect(vi.getTimerCount()).toBe(0);
	});

	test("stay for a while when etcd has forgotten everything", async () => {
		const { etcd, told, stop, ended } = await watchTwo();
		etcd.entries = new Map();
		etcd.break(new DynError("UNAVAILABLE", "etcd is away"));
		await vi.advanceTimersByTimeAsync(1000);
		etcd.observer?.put("v1/e/1", "one");
		await vi.advanceTimersByTimeAsync(1000);
		expect(told).toEqual([]);
		await vi.advanceTimersByTimeAsync(HOLD_MS);
		expect(told).toEqual(["delete v1/e/2"]);
		stop.abort();
		await ended;
		expect(vi.getTimerCount()).toBe(0);
	});
});
