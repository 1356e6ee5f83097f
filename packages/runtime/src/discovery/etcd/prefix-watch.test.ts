// SPDX-License-Identifier: Apache-2.0
import { DynError, silentLogger } from "@dyn/common";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Contact } from "./contact.js";
import type { WatchObserver } from "./etcd-calls.js";
import { watchPrefix } from "./prefix-watch.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

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
		for await (const event of watchPrefix(etcd, contact, "v1/", stop.signal))
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
	etcd.observer?.changed("c", "1");
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
	expect(told.sort()).toEqual(["delete a", "put c 2"]);
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
	const events = watchPrefix(etcd, new Contact(silentLogger), "v1/", AbortSignal.abort());
	expect(await events.next()).toEqual({ value: undefined, done: true });
	expect(etcd.followed).toEqual([]);
});
