// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { createRuntime, type EndpointHandler, type Runtime } from "@dyn/runtime";
import { createEtcdStore } from "@dyn/runtime/etcd";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EtcdServer, etcdMissing } from "../etcd-server.js";
import { StoreObserver } from "../store-observer.js";

const missing = etcdMissing();
if (missing) console.warn(`runtimes over etcd are not tested: ${missing}`);

const ENDPOINT = "dyn://ns.backend.generate";
const TTL_SECONDS = 2;
const longerThanTheLease = () => new Promise((resolve) => setTimeout(resolve, TTL_SECONDS * 1000 + 1500));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function openStore(server: EtcdServer) {
	const store = await createEtcdStore({ endpoints: [server.endpoint], leaseTtlSeconds: TTL_SECONDS });
	cleanups.push(() => store.close());
	return store;
}

async function openRuntime(server: EtcdServer): Promise<Runtime> {
	const discovery = await openStore(server);
	const runtime = await createRuntime({ discovery, requestPlanes: [createTcpPlane()] });
	cleanups.push(() => runtime.close());
	return runtime;
}

const countTo: EndpointHandler = async function* (request) {
	for (let number = 1; number <= (request as number); number++) yield number;
};

describe.skipIf(missing)("runtimes over etcd", { timeout: 60_000 }, () => {
	test("start before it, serve while it is dead, and find each other when it has forgotten everything", async () => {
		const server = await EtcdServer.prepare();
		cleanups.push(() => server.dispose());
		const starting = Promise.all([openRuntime(server), openRuntime(server)]);
		await server.start();
		const [worker, frontend] = await starting;
		const seen = new StoreObserver(await openStore(server), "v1/instances/");
		cleanups.push(async () => seen.stop());

		await worker.endpoint(ENDPOINT).serve(countTo);
		const client = frontend.endpoint(ENDPOINT).client();
		const finds = (count: number) => vi.waitFor(() => expect(client.instances().length).toBe(count), 10_000);
		await finds(1);
		await seen.until(() => seen.entries.size === 1);
		const generate = async () => {
			const numbers: unknown[] = [];
			for await (const number of client.generate(3, createRequestContext())) numbers.push(number);
			return numbers;
		};
		expect(await generate()).toEqual([1, 2, 3]);

		await server.kill();
		await longerThanTheLease();
		expect(await generate()).toEqual([1, 2, 3]);
		await server.forget();
		await server.start();
		const late = new StoreObserver(await openStore(server), "v1/instances/");
		cleanups.push(async () => late.stop());
		await late.until(() => late.entries.size === 1);
		await seen.has(Object.fromEntries(late.entries));
		await finds(1);
		expect(await generate()).toEqual([1, 2, 3]);

		await worker.close();
		await Promise.all([seen, late].map((observer) => observer.until(() => observer.entries.size === 0)));
		await finds(0);
		await expect(generate()).rejects.toSatisfy((error) => DynError.is(error, "UNAVAILABLE"));
	});
});
