// SPDX-License-Identifier: Apache-2.0
import { createLogger, DynError, type LogRecord } from "@dyn/common";
import { createEtcdStore, type EtcdStoreOptions } from "@dyn/runtime/etcd";
import { Etcd3 } from "etcd3";
import { afterEach, describe, expect, test } from "vitest";
import type { KeyValueStore } from "../../src/discovery/key-value-store.js";
import { EtcdServer, etcdMissing } from "../etcd-server.js";
import { startWire } from "../severable-wire.js";
import { StoreObserver } from "../store-observer.js";

const missing = etcdMissing();
if (missing) console.warn(`etcd tests skipped: ${missing}`);

const PREFIX = "v1/instances/";
const A = `${PREFIX}ns/backend/generate/a`;
const B = `${PREFIX}ns/backend/generate/b`;
const C = `${PREFIX}ns/backend/generate/c`;
/** etcd itself makes shorter leases 2 s. */
const TTL_SECONDS = 2;
/** Longer than a lease lasts: what is tested is what happens then. */
const longerThanTheLease = () => new Promise((resolve) => setTimeout(resolve, TTL_SECONDS * 1000 + 1500));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startServer(): Promise<EtcdServer> {
	const server = await EtcdServer.start();
	cleanups.push(() => server.dispose());
	return server;
}

async function open(endpoint: string, options: EtcdStoreOptions = {}): Promise<KeyValueStore> {
	const store = await createEtcdStore({ endpoints: [endpoint], leaseTtlSeconds: TTL_SECONDS, ...options });
	cleanups.push(() => store.close());
	return store;
}

/** etcd without the store, to look behind its back. */
function openRaw(endpoint: string): Etcd3 {
	const raw = new Etcd3({ hosts: endpoint });
	cleanups.push(async () => raw.close());
	return raw;
}

function observe(store: KeyValueStore): StoreObserver {
	const observer = new StoreObserver(store, PREFIX);
	cleanups.push(async () => observer.stop());
	return observer;
}

const unavailable = (promise: Promise<void>) =>
	expect(promise).rejects.toSatisfy((error) => DynError.is(error, "UNAVAILABLE"));

describe.skipIf(missing)("etcd", { timeout: 60_000 }, () => {
	test("tells another store what is there, then what changes, and nothing twice", async () => {
		const server = await startServer();
		const [worker, frontend] = [await open(server.endpoint), await open(server.endpoint)];
		expect(worker.status).toBe("connected");
		const lease = await worker.lease();
		await worker.put(A, '{"id":18446744073709551615}', lease);
		await worker.put(B, "1", lease);
		const observer = observe(frontend);
		await observer.synced();
		expect(observer.events.slice().sort()).toEqual(
			['put a={"id":18446744073709551615}', "put b=1", "synced"].sort(),
		);
		expect(observer.events.at(-1)).toBe("synced");

		await worker.put(B, "1", lease);
		await worker.put(B, "2", lease);
		await worker.put("v1/instances-of-others", "no", lease);
		await worker.delete(A);
		await observer.has({ [B]: "2" });
		expect(observer.events.slice(3)).toEqual(["put b=2", "delete a"]);

		await lease.revoke();
		await observer.has({});
		await unavailable(worker.put(A, "late", lease));
		await frontend.close();
		await observer.until(() => observer.events.at(-1) === "end");
	});

	test("keeps keys longer than the lease and takes them back when it closes", async () => {
		const server = await startServer();
		const [worker, frontend] = [await open(server.endpoint), await open(server.endpoint)];
		await worker.put(A, "1", await worker.lease());
		const observer = observe(frontend);
		await observer.has({ [A]: "1" });
		await longerThanTheLease();
		expect(observer.events).toEqual(["put a=1", "synced"]);
		await worker.close();
		await observer.has({});
	});

	test("waits for an etcd that is not there yet", async () => {
		const server = await EtcdServer.prepare();
		cleanups.push(() => server.dispose());
		const records: LogRecord[] = [];
		const logger = createLogger("info", (record) => records.push(record));
		const store = await open(server.endpoint, { logger });
		const observer = observe(store);
		await unavailable(store.put(A, "1", await store.lease()));
		expect(store.status).toBe("disconnected");
		await longerThanTheLease();
		expect(observer.events).toEqual([]);
		await server.start();
		await observer.has({ [A]: "1" });
		await observer.synced();
		// Who put the key hears of it later than who watches.
		while (store.status !== "connected") await new Promise(setImmediate);
		expect(records.map(({ message }) => message)).toEqual([
			"etcd cannot be reached: what is known stays, trying again",
			"etcd is reached again",
		]);
	});

	test.each([
		{ how: "with its data", forgets: false },
		{ how: "without its data", forgets: true },
	])(
		"registers everything again when etcd was dead for longer than the lease and comes back $how",
		async ({ forgets }) => {
			const server = await startServer();
			const stores = [
				await open(server.endpoint),
				await open(server.endpoint),
				await open(server.endpoint),
			] as const;
			const [worker, leaver, frontend] = stores;
			const lease = await worker.lease();
			await worker.put(A, "1", lease);
			await worker.put(B, "1", lease);
			await leaver.put(`${PREFIX}x`, "1", await leaver.lease());
			const observer = observe(frontend);
			await observer.has({ [A]: "1", [B]: "1", [`${PREFIX}x`]: "1" });

			await server.kill();
			await leaver.close();
			await longerThanTheLease();
			expect(worker.status).toBe("disconnected");
			expect(observer.entries.size).toBe(3);
			await unavailable(worker.delete(A));
			await unavailable(worker.put(B, "2", lease));
			await unavailable(worker.put(C, "1", lease));
			if (forgets) await server.forget();
			await server.start();
			const began = performance.now();

			const right = { [B]: "2", [C]: "1" };
			await observer.has(right);
			console.log(`right ${Math.round(performance.now() - began)} ms after etcd was back`);
			expect(performance.now() - began).toBeLessThan(15_000);
			await longerThanTheLease();
			expect(Object.fromEntries(observer.entries)).toEqual(right);
			const late = observe(await open(server.endpoint));
			await late.synced();
			expect(Object.fromEntries(late.entries)).toEqual(right);
			expect(stores.map(({ status }) => status)).toEqual(["connected", "connected", "connected"]);
		},
	);

	test("registers again when its lease is taken away, and nobody misses it meanwhile", async () => {
		const server = await startServer();
		const [worker, frontend] = [await open(server.endpoint), await open(server.endpoint)];
		await worker.put(A, "1", await worker.lease());
		const observer = observe(frontend);
		await observer.has({ [A]: "1" });
		const raw = openRaw(server.endpoint);
		const lease = async () => (await raw.kv.range({ key: Buffer.from(A) })).kvs[0]?.lease;
		const first = (await lease())!;
		await raw.leaseClient.leaseRevoke({ ID: first });
		expect(await lease()).toBe(undefined);
		while ((await lease()) === undefined) await new Promise(setImmediate);
		expect(await lease()).not.toBe(first);
		await worker.put(B, "1", await worker.lease());
		await observer.has({ [A]: "1", [B]: "1" });
		expect(observer.events).toEqual(["put a=1", "synced", "put b=1"]);
	});

	test("takes the last of a dead owner for gone one more lease later", async () => {
		const server = await startServer();
		const raw = openRaw(server.endpoint);
		const { ID } = await raw.leaseClient.leaseGrant({ TTL: TTL_SECONDS });
		await raw.kv.put({ key: Buffer.from(A), value: Buffer.from("1"), lease: ID });
		const observer = observe(await open(server.endpoint));
		await observer.has({ [A]: "1" });
		await raw.leaseClient.leaseRevoke({ ID });
		const revoked = performance.now();
		await observer.has({});
		expect(performance.now() - revoked).toBeGreaterThan(TTL_SECONDS * 900);
	});

	test("tells what was lost to compaction while it was away, and what stayed not again", async () => {
		const server = await startServer();
		const wire = await startWire(server.endpoint);
		cleanups.push(async () => wire.close());
		const [worker, frontend] = [await open(server.endpoint), await open(wire.endpoint)];
		const lease = await worker.lease();
		await worker.put(A, "1", lease);
		await worker.put(B, "1", lease);
		const observer = observe(frontend);
		await observer.synced();
		wire.cut();
		await worker.delete(A);
		await worker.put(B, "0", lease);
		await worker.put(B, "1", lease);
		await worker.put(C, "1", lease);
		const raw = openRaw(server.endpoint);
		const { header } = await raw.kv.range({ key: Buffer.from(B) });
		await raw.kv.compact({ revision: header.revision, physical: true });
		const told = observer.events.length;
		wire.mend();
		await observer.has({ [B]: "1", [C]: "1" });
		expect(observer.events.slice(told).sort()).toEqual(["delete a", "put c=1"]);
	});

	test("gets over an etcd that stands still for 3 s", async () => {
		const server = await startServer();
		const [worker, frontend] = [await open(server.endpoint), await open(server.endpoint)];
		const lease = await worker.lease();
		await worker.put(A, "1", lease);
		const observer = observe(frontend);
		await observer.has({ [A]: "1" });
		server.freeze();
		const put = worker.put(B, "1", lease).catch((error) => error);
		await new Promise((resolve) => setTimeout(resolve, 3000));
		server.thaw();
		expect(DynError.is(await put, "UNAVAILABLE")).toBe(true);
		await observer.has({ [A]: "1", [B]: "1" });
		await longerThanTheLease();
		expect(Object.fromEntries(observer.entries)).toEqual({ [A]: "1", [B]: "1" });
	});

	test.each(["dead", "frozen"])("closes in bounded time when etcd is %s", async (state) => {
		const server = await startServer();
		const store = await open(server.endpoint);
		const lease = await store.lease();
		await store.put(A, "1", lease);
		// One after the other these would take their time.
		for (let i = 0; i < 8; i++) await store.put(B + i, "1", await store.lease());
		const observer = observe(store);
		await observer.synced();
		if (state === "dead") await server.kill();
		else server.freeze();
		const began = performance.now();
		await Promise.all([store.close(), lease.revoke()]);
		expect(performance.now() - began).toBeLessThan(5000);
		await observer.until(() => observer.events.at(-1) === "end");
		await unavailable(store.put(A, "2", lease));
		await store.delete(A);
	});

	test("tells a list longer than a gRPC message usually is", async () => {
		const server = await startServer();
		const store = await open(server.endpoint);
		const lease = await store.lease();
		const value = "x".repeat(1.4 * 1024 * 1024);
		for (const key of [A, B, C, `${PREFIX}d`]) await store.put(key, value, lease);
		const observer = observe(store);
		await observer.synced();
		expect([...observer.entries.values()].map(({ length }) => length)).toEqual(Array(4).fill(value.length));
	});

	test("goes to the endpoint that answers", async () => {
		const server = await startServer();
		const dead = await EtcdServer.prepare();
		cleanups.push(() => dead.dispose());
		const store = await open("", { endpoints: [dead.endpoint, server.endpoint] });
		expect(store.status).toBe("connected");
		await store.put(A, "1", await store.lease());
		await observe(store).has({ [A]: "1" });
	});
});
