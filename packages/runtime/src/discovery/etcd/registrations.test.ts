// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode, type Logger, silentLogger } from "@dyn/common";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Contact } from "./contact.js";
import { Registrations } from "./registrations.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const KEEP_ALIVE_MS = 1000;
/** Longer than any pause between two tries. */
const backoff = () => vi.advanceTimersByTimeAsync(1000);

/** An etcd in memory: what it was asked, what it has, and how it is doing. */
class FakeEtcd {
	readonly calls: string[] = [];
	readonly keys = new Map<string, string>();
	readonly leases = new Set<string>();
	away = false;
	refuses: { readonly key: string; readonly code: ErrorCode } | null = null;
	#granted = 0;

	probe = async () => this.#enter("probe");
	grant = async () => {
		this.#enter("grant");
		const id = `lease ${++this.#granted}`;
		this.leases.add(id);
		return id;
	};
	keepAlive = async (id: string) => {
		this.#enter("keepAlive");
		return this.leases.has(id);
	};
	revoke = async (id: string) => {
		this.#enter("revoke");
		this.#end(id);
	};
	put = async (key: string, value: string, lease: string) => {
		this.#enter(`put ${key}=${value}`, key);
		if (!this.leases.has(lease)) return false;
		this.keys.set(key, `${value} under ${lease}`);
		return true;
	};
	delete = async (key: string) => {
		this.#enter(`delete ${key}`, key);
		this.keys.delete(key);
	};

	forget(): void {
		for (const id of this.leases) this.#end(id);
	}

	/** What was asked since the last look. */
	asked(): string[] {
		return this.calls.splice(0);
	}

	#end(id: string): void {
		this.leases.delete(id);
		for (const [key, value] of this.keys) if (value.endsWith(id)) this.keys.delete(key);
	}

	#enter(call: string, key?: string): void {
		this.calls.push(call);
		if (this.away) throw new DynError("UNAVAILABLE", "etcd is away");
		if (this.refuses && this.refuses.key === key) throw new DynError(this.refuses.code, "no");
	}
}

async function start(away = false, logger: Logger = silentLogger) {
	const etcd = new FakeEtcd();
	etcd.away = away;
	const contact = new Contact(logger);
	const options = { leaseTtlSeconds: 3, keepAliveMs: KEEP_ALIVE_MS };
	const registrations = new Registrations(etcd, contact, options, logger);
	await registrations.start();
	return { etcd, contact, registrations };
}

const unavailable = (promise: Promise<void>) =>
	expect(promise).rejects.toSatisfy((error) => DynError.is(error, "UNAVAILABLE"));

test("grants one lease, puts under it and keeps it alive", async () => {
	const { etcd, registrations } = await start();
	const lease = registrations.lease();
	await registrations.put("a", "1", lease);
	await registrations.put("b", "1", lease);
	await registrations.delete("a");
	await vi.advanceTimersByTimeAsync(2 * KEEP_ALIVE_MS);
	expect(etcd.asked()).toEqual([
		...["probe", "grant", "put a=1", "put b=1", "delete a"],
		...["keepAlive", "keepAlive"],
	]);
	expect([...etcd.keys]).toEqual([["b", "1 under lease 1"]]);
});

test("puts everything again under a new lease when etcd has ended the old one", async () => {
	const { etcd, registrations } = await start();
	const lease = registrations.lease();
	await registrations.put("a", "1", lease);
	await registrations.put("b", "1", lease);
	etcd.forget();
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	expect([...etcd.keys]).toEqual([
		["a", "1 under lease 2"],
		["b", "1 under lease 2"],
	]);
});

test("a put that finds the lease ended succeeds under a new one", async () => {
	const { etcd, registrations } = await start();
	const lease = registrations.lease();
	await registrations.put("a", "1", lease);
	etcd.forget();
	await registrations.put("b", "1", lease);
	await vi.advanceTimersByTimeAsync(0);
	expect([...etcd.keys].sort()).toEqual([
		["a", "1 under lease 2"],
		["b", "1 under lease 2"],
	]);
});

test("remembers what was put and deleted while etcd was away", async () => {
	const { etcd, contact, registrations } = await start();
	const lease = registrations.lease();
	await registrations.put("a", "1", lease);
	await registrations.put("b", "1", lease);
	etcd.away = true;
	await unavailable(registrations.put("b", "2", lease));
	await unavailable(registrations.put("c", "1", lease));
	await unavailable(registrations.delete("a"));
	expect(contact.connected).toBe(false);
	etcd.away = false;
	await backoff();
	expect(contact.connected).toBe(true);
	expect([...etcd.keys].sort()).toEqual([
		["b", "2 under lease 1"],
		["c", "1 under lease 1"],
	]);
});

test("a delete that fails first is not forgotten", async () => {
	const { etcd, registrations } = await start();
	await registrations.put("a", "1", registrations.lease());
	etcd.away = true;
	await unavailable(registrations.delete("a"));
	etcd.away = false;
	await backoff();
	expect(etcd.keys.size).toBe(0);
});

test("puts again what etcd has lost while it was away", async () => {
	const { etcd, registrations } = await start();
	await registrations.put("a", "1", registrations.lease());
	etcd.away = true;
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	etcd.keys.clear();
	etcd.away = false;
	await backoff();
	expect([...etcd.keys]).toEqual([["a", "1 under lease 1"]]);
});

test("starts without etcd and looks for it without haste", async () => {
	const { etcd, contact, registrations } = await start(true);
	await vi.advanceTimersByTimeAsync(10_000);
	expect(contact.connected).toBe(false);
	const tries = etcd.asked().length;
	expect(tries).toBeGreaterThan(8);
	expect(tries).toBeLessThan(30);
	await unavailable(registrations.put("a", "1", registrations.lease()));
	etcd.away = false;
	await backoff();
	expect([...etcd.keys]).toEqual([["a", "1 under lease 1"]]);
	expect(contact.connected).toBe(true);
});

test("a refused key troubles no other and is tried with every keepalive", async () => {
	const { etcd, contact, registrations } = await start();
	const lease = registrations.lease();
	etcd.refuses = { key: "a", code: "UNAUTHENTICATED" };
	await expect(registrations.put("a", "1", lease)).rejects.toSatisfy((error) =>
		DynError.is(error, "UNAUTHENTICATED"),
	);
	await registrations.put("b", "1", lease);
	expect(contact.connected).toBe(true);
	etcd.asked();
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	expect(etcd.asked()).toEqual(["keepAlive", "put a=1"]);
	etcd.refuses = null;
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	expect(etcd.keys.get("a")).toBe("1 under lease 1");
	etcd.asked();
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	expect(etcd.asked()).toEqual(["keepAlive"]);
});

test("a lease that never was ends without etcd", async () => {
	const { etcd, contact, registrations } = await start(true);
	const lease = registrations.lease();
	await lease.revoke();
	expect(contact.connected).toBe(false);
	expect(etcd.asked()).not.toContain("revoke");
});

test("a start that etcd refuses fails", async () => {
	const etcd = new FakeEtcd();
	etcd.probe = async () => {
		throw new DynError("UNAUTHENTICATED", "wrong password");
	};
	const options = { leaseTtlSeconds: 3, keepAliveMs: KEEP_ALIVE_MS };
	const registrations = new Registrations(etcd, new Contact(silentLogger), options, silentLogger);
	await expect(registrations.start()).rejects.toSatisfy((error) => DynError.is(error, "UNAUTHENTICATED"));
	await registrations.close();
});

test("revokes a lease with its keys and leaves the others", async () => {
	const { etcd, registrations } = await start();
	const [one, two] = [registrations.lease(), registrations.lease()];
	await registrations.put("a", "1", one);
	await registrations.put("b", "1", two);
	await Promise.all([one.revoke(), one.revoke()]);
	await one.revoke();
	expect([...etcd.keys]).toEqual([["b", "1 under lease 2"]]);
	await unavailable(registrations.put("a", "2", one));
	etcd.forget();
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	expect([...etcd.keys]).toEqual([["b", "1 under lease 3"]]);
	expect(etcd.asked().filter((call) => call === "revoke")).toEqual(["revoke"]);
});

test("a lease that is revoked while it is being granted does not stay", async () => {
	const { etcd, registrations } = await start();
	await registrations.lease().revoke();
	await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS);
	expect(etcd.leases.size).toBe(0);
});

test("closes with one try per lease, whether etcd is there or not", async () => {
	for (const away of [false, true]) {
		const { etcd, registrations } = await start();
		const lease = registrations.lease();
		await registrations.put("a", "1", lease);
		await registrations.put("b", "1", registrations.lease());
		etcd.away = away;
		etcd.asked();
		await registrations.close();
		expect(etcd.asked()).toEqual(["revoke", "revoke"]);
		await unavailable(registrations.put("a", "2", lease));
		expect(() => registrations.lease()).toThrow(DynError);
		await lease.revoke();
		await registrations.delete("a");
		await vi.advanceTimersByTimeAsync(10_000);
		expect(etcd.asked()).toEqual([]);
	}
});
