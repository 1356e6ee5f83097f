// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError, type ErrorCode } from "@dyn/common";
import { createEtcdStore, type EtcdStoreOptions } from "@dyn/runtime/etcd";
import { Etcd3 } from "etcd3";
import { afterEach, describe, expect, test } from "vitest";
import type { KeyValueStore } from "../../src/discovery/key-value-store.js";
import { issueCertificates } from "../certificates.js";
import { EtcdServer, type EtcdServerOptions, etcdMissing } from "../etcd-server.js";
import { StoreObserver } from "../store-observer.js";

const missing = etcdMissing();
if (missing) console.warn(`tests of etcd's TLS and users skipped: ${missing}`);

const A = "v1/instances/ns/backend/generate/a";
const B = "v1/instances/ns/backend/generate/b";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startServer(options: EtcdServerOptions = {}): Promise<EtcdServer> {
	const server = await EtcdServer.start(options);
	cleanups.push(() => server.dispose());
	return server;
}

async function open(options: EtcdStoreOptions): Promise<KeyValueStore> {
	const store = await createEtcdStore({ leaseTtlSeconds: 2, ...options });
	cleanups.push(() => store.close());
	return store;
}

function observe(store: KeyValueStore): StoreObserver {
	const observer = new StoreObserver(store, "v1/instances/");
	cleanups.push(async () => observer.stop());
	return observer;
}

const rejects = (promise: Promise<unknown>, code: ErrorCode) =>
	expect(promise).rejects.toSatisfy((error) => DynError.is(error, code));

const ROOT_PASSWORD = "for the test only";

/** Only `worker` may read and write under v1/. */
async function protect(endpoint: string): Promise<void> {
	const raw = openRaw(endpoint, "nobody");
	await raw.role("root").create();
	await raw.user("root").create(ROOT_PASSWORD);
	await raw.user("root").addRole("root");
	const role = await raw.role("discovery").create();
	await role.grant({ permission: "Readwrite", range: raw.range({ prefix: "v1/" }) });
	await raw.user("worker").create("secret");
	await raw.user("worker").addRole("discovery");
	await raw.auth.authEnable();
}

/** etcd without the store. */
function openRaw(endpoint: string, as: "nobody" | "root"): Etcd3 {
	const auth = { username: "root", password: ROOT_PASSWORD };
	const raw = new Etcd3({ hosts: endpoint, ...(as === "root" && { auth }) });
	cleanups.push(async () => raw.close());
	return raw;
}

describe.skipIf(missing)("etcd with users", { timeout: 60_000 }, () => {
	const auth = { username: "worker", password: "secret" };

	test("lets the right user in, also after etcd has forgotten its tokens", async () => {
		const server = await startServer();
		await protect(server.endpoint);
		const options = { endpoints: [server.endpoint], auth };
		const [worker, frontend] = [await open(options), await open(options)];
		const lease = await worker.lease();
		await worker.put(A, "1", lease);
		const observer = observe(frontend);
		await observer.has({ [A]: "1" });
		await openRaw(server.endpoint, "root").auth.authDisable();
		await openRaw(server.endpoint, "nobody").auth.authEnable();
		await worker.put(B, "1", lease);
		await observer.has({ [A]: "1", [B]: "1" });
		await worker.delete(A);
		await observer.has({ [B]: "1" });
	});

	test("logs in again when its signed token is older than the last change of users", async () => {
		const { path, openssl } = await openFolder();
		const jwt = { privateKey: path("jwt.key"), publicKey: path("jwt.pub") };
		openssl("genrsa", "-out", jwt.privateKey, "2048");
		openssl("rsa", "-in", jwt.privateKey, "-pubout", "-out", jwt.publicKey);
		const server = await startServer({ jwt });
		await protect(server.endpoint);
		const store = await open({ endpoints: [server.endpoint], auth });
		const lease = await store.lease();
		await store.put(A, "1", lease);
		await openRaw(server.endpoint, "root").user("another").create("secret");
		await store.put(B, "1", lease);
		await observe(store).has({ [A]: "1", [B]: "1" });
	});

	test("refuses a wrong password, no password, and a password that etcd does not ask for", async () => {
		const server = await startServer();
		const endpoints = [server.endpoint];
		await rejects(createEtcdStore({ endpoints, auth }), "UNAUTHENTICATED");
		await protect(server.endpoint);
		await rejects(createEtcdStore({ endpoints, auth: { ...auth, password: "guess" } }), "UNAUTHENTICATED");
		await rejects(createEtcdStore({ endpoints }), "UNAUTHENTICATED");
	});

	test("goes on when a single key is refused", async () => {
		const server = await startServer();
		await protect(server.endpoint);
		const store = await open({ endpoints: [server.endpoint], auth });
		const lease = await store.lease();
		await rejects(store.put("elsewhere/a", "1", lease), "UNAUTHENTICATED");
		await rejects(store.put(B, "x".repeat(1.75 * 1024 * 1024), lease), "INVALID_ARGUMENT");
		await store.put(A, "1", lease);
		expect(store.status).toBe("connected");
		await observe(store).has({ [A]: "1" });
	});
});

/** A folder for keys and certificates. */
async function openFolder() {
	const folder = await mkdtemp(join(tmpdir(), "dyn-etcd-keys-"));
	cleanups.push(() => rm(folder, { recursive: true, force: true }));
	const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
	return { openssl, path: (name: string) => join(folder, name) };
}

describe.skipIf(missing)("etcd over TLS", { timeout: 60_000 }, () => {
	test("trusts the given authority and shows its own certificate", async () => {
		await using certificates = await issueCertificates();
		const { path, pem } = certificates;
		const server = await startServer({
			tls: { cert: path("server.crt"), key: path("server.key"), trustedCa: path("ca.crt") },
		});
		const endpoints = [server.endpoint];
		const ca = await pem("ca.crt");
		const own = { cert: await pem("client.crt"), key: await pem("client.key") };
		const store = await open({ endpoints, tls: { ca, ...own } });
		await store.put(A, "1", await store.lease());
		await observe(store).has({ [A]: "1" });

		const stranger = await open({ endpoints, tls: { ca } });
		expect(stranger.status).toBe("disconnected");
		const distrustful = await open({ endpoints, tls: { ca: await pem("other-ca.crt"), ...own } });
		expect(distrustful.status).toBe("disconnected");
		await rejects(distrustful.put(B, "1", await distrustful.lease()), "UNAVAILABLE");
	});
});
