// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRuntime } from "../src/create-runtime.js";
import type { KeyValueStore, Lease, StoreEvent } from "../src/discovery/key-value-store.js";
import { createKubernetesStore, type KubernetesStoreOptions } from "../src/discovery/kubernetes/index.js";
import { createTcpPlane } from "../src/request-plane/tcp/index.js";
import { KubernetesApiDouble } from "./kubernetes-api-double/api-server.js";
import { Cluster, NAMESPACE, type PodOptions } from "./kubernetes-api-double/cluster.js";

const INSTANCE = "v1/instances/dynamo/backend/generate/1f";
const MODEL = "v1/mdc/dynamo/backend/generate/1f";
const CHANNEL = "v1/event_channels/dynamo/backend/kv-events/1f";
const at = (address: string) =>
	`{"type":"Endpoint","instance_id":9007199254740993,"transport":{"tcp":"${address}"}}`;

let api: KubernetesApiDouble;
let cluster: Cluster;
let directory: string;
let tokenFile: string;
const stores: KeyValueStore[] = [];

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "kubernetes-"));
	tokenFile = join(directory, "token");
	await writeFile(tokenFile, "first-token\n");
	api = new KubernetesApiDouble();
	await api.start();
	cluster = new Cluster(api);
});

afterEach(async () => {
	await Promise.all(stores.splice(0).map((store) => store.close()));
	await api.stop();
	await rm(directory, { recursive: true });
});

interface Worker {
	readonly store: KeyValueStore;
	readonly lease: Lease;
	readonly podUid: string;
}

/** The process of a pod; the pod is not ready. */
async function startWorker(
	podName: string,
	options: Partial<KubernetesStoreOptions> = {},
	pod: PodOptions = {},
): Promise<Worker> {
	return startProcess(podName, cluster.startPod(podName, pod), options);
}

async function startProcess(
	podName: string,
	podUid: string,
	options: Partial<KubernetesStoreOptions> = {},
): Promise<Worker> {
	const where = { apiServer: api.url, namespace: NAMESPACE, tokenFile, podName, podUid };
	const store = await createKubernetesStore({ ...where, ...options });
	stores.push(store);
	return { store, lease: await store.lease(), podUid };
}

/** What a watch tells, one event at a time. */
function follow(store: KeyValueStore, prefix = "v1/"): () => Promise<StoreEvent | "end"> {
	const events = store.watch(prefix, new AbortController().signal)[Symbol.asyncIterator]();
	return async () => {
		const { value, done } = await events.next();
		return done ? "end" : value;
	};
}

/** A frontend that has seen that nothing is there. */
async function startFrontend(options: Partial<KubernetesStoreOptions> = {}) {
	const { store } = await startWorker("frontend-0", options);
	const next = follow(store);
	expect(await next()).toEqual({ type: "synced" });
	return { store, next };
}

const put = (value: string, key = INSTANCE) => ({ type: "put", key, value });
const gone = (key = INSTANCE) => ({ type: "delete", key });

describe("discovery in Kubernetes", { timeout: 20_000 }, () => {
	test("a worker is seen while its pod is ready, by others and by itself", async () => {
		const { next } = await startFrontend();
		const worker = await startWorker("worker-0");
		const own = follow(worker.store, "v1/instances/");
		expect(await own()).toEqual({ type: "synced" });
		await worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease);

		cluster.setReady("worker-0", true);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		expect(await own()).toEqual(put(at("10.0.0.1:9000")));
		cluster.setReady("worker-0", false);
		expect(await next()).toEqual(gone());
		expect(await own()).toEqual(gone());
		cluster.setReady("worker-0", true);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
	});

	test("one that comes later is told what is there, then that this was all", async () => {
		const worker = await startWorker("worker-0");
		cluster.setReady("worker-0", true);
		await worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease);
		await worker.store.put(MODEL, '{"type":"Model"}', worker.lease);
		await worker.store.put(CHANNEL, '{"type":"EventChannel"}', worker.lease);

		const { store } = await startWorker("frontend-0");
		const next = follow(store);
		const told = [await next(), await next(), await next()];
		expect(told).toContainEqual(put(at("10.0.0.1:9000")));
		expect(told).toContainEqual(put('{"type":"Model"}', MODEL));
		expect(told).toContainEqual(put('{"type":"EventChannel"}', CHANNEL));
		expect(await next()).toEqual({ type: "synced" });
		const models = follow(store, "v1/mdc/");
		expect(await models()).toEqual(put('{"type":"Model"}', MODEL));
		expect(await models()).toEqual({ type: "synced" });
	});

	test("a pod that is deleted takes its records with it", async () => {
		const { next } = await startFrontend();
		const worker = await startWorker("worker-0");
		await worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease);
		cluster.setReady("worker-0", true);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		cluster.terminatePod("worker-0");
		expect(await next()).toEqual(gone());
		cluster.deletePod("worker-0");
		await Promise.resolve();
		expect(cluster.metadataOf("worker-0")).toBeNull();
	});

	test("a new pod of an old name does not pass for the old one", async () => {
		const { next } = await startFrontend();
		const old = await startWorker("worker-0");
		await old.store.put(INSTANCE, at("10.0.0.1:9000"), old.lease);
		cluster.setReady("worker-0", true);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		// Ready before the garbage collector has come by: what the old pod wrote is still there.
		const left = structuredClone(cluster.metadataOf("worker-0")!);
		cluster.deletePod("worker-0");
		expect(await next()).toEqual(gone());
		const podUid = cluster.startPod("worker-0");
		left.metadata.ownerReferences!.push({ apiVersion: "v1", kind: "Node", name: "n", uid: podUid });
		api.objects.put("dynamoworkermetadatas", NAMESPACE, left);
		cluster.setReady("worker-0", true);
		const worker = await startProcess("worker-0", podUid);
		await worker.store.put(INSTANCE, at("10.0.0.2:9000"), worker.lease);
		expect(await next()).toEqual(put(at("10.0.0.2:9000")));
	});

	test("a changed value of a known key is the next event; the same value is none", async () => {
		const { next } = await startFrontend();
		const worker = await startWorker("worker-0");
		cluster.setReady("worker-0", true);
		await worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		await worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease);
		await worker.store.put(INSTANCE, at("10.0.0.9:9000"), worker.lease);
		expect(await next()).toEqual(put(at("10.0.0.9:9000")));
		await worker.store.delete(INSTANCE);
		expect(await next()).toEqual(gone());
	});

	test("the resource is Dynamo's: owner, sections, keys without bucket", async () => {
		const worker = await startWorker("worker-0");
		await Promise.all([
			worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease),
			worker.store.put(MODEL, '{"type":"Model"}', worker.lease),
			worker.store.put(CHANNEL, '{"type":"EventChannel","topic":"kv\u2028events"}', worker.lease),
			worker.store.put("v1/event_sources/dynamo/1f", '{"type":"EventSource"}', worker.lease),
		]);
		expect(cluster.metadataOf("worker-0")).toMatchObject({
			apiVersion: "nvidia.com/v1alpha1",
			kind: "DynamoWorkerMetadata",
			metadata: {
				name: "worker-0",
				ownerReferences: [
					{
						apiVersion: "v1",
						kind: "Pod",
						name: "worker-0",
						uid: worker.podUid,
						controller: true,
						blockOwnerDeletion: false,
					},
				],
				managedFields: [{ manager: "dynamo-worker", operation: "Apply" }],
			},
		});
		expect(cluster.metadataOf("worker-0")!["spec"]).toEqual({
			data: {
				endpoints: {
					"dynamo/backend/generate/1f": {
						type: "Endpoint",
						instance_id: 9007199254740993n,
						transport: { tcp: "10.0.0.1:9000" },
					},
				},
				model_cards: { "dynamo/backend/generate/1f": { type: "Model" } },
				event_channels: {
					"dynamo/backend/kv-events/1f": { type: "EventChannel", topic: "kv\u2028events" },
				},
			},
		});
	});

	test("a revoked lease takes what was put under it, and the last one the resource", async () => {
		const worker = await startWorker("worker-0");
		const other = await worker.store.lease();
		await worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease);
		await worker.store.put(MODEL, '{"type":"Model"}', other);
		await worker.lease.revoke();
		expect(cluster.metadataOf("worker-0")).toMatchObject({
			spec: { data: { endpoints: {}, model_cards: { "dynamo/backend/generate/1f": {} } } },
		});
		await other.revoke();
		expect(cluster.metadataOf("worker-0")).toBeNull();
		await other.revoke();
	});

	test("a closed store has withdrawn, ends its watches and takes nothing more", async () => {
		const { store, next } = await startFrontend();
		const lease = await store.lease();
		await store.put(INSTANCE, at("10.0.0.1:9000"), lease);
		await store.close();
		await store.close();
		expect(cluster.metadataOf("frontend-0")).toBeNull();
		expect(await next()).toBe("end");
		expect(store.status).toBe("disconnected");
		expect(await follow(store)()).toBe("end");
		await expect(store.put(INSTANCE, at("10.0.0.1:9000"), lease)).rejects.toMatchObject({
			code: "UNAVAILABLE",
		});
		await expect.poll(() => api.watches).toBe(0);
	});

	test("runtimes in two pods call each other as soon as the one is ready", async () => {
		const [worker, frontend] = [await startWorker("worker-0"), await startWorker("frontend-0")];
		const runtimeOn = ({ store }: Worker) =>
			createRuntime({ discovery: store, requestPlanes: [createTcpPlane()] });
		const [serving, calling] = [await runtimeOn(worker), await runtimeOn(frontend)];
		try {
			const served = await serving.endpoint("dynamo.backend.generate").serve(async function* (request) {
				yield request;
			});
			const client = calling.endpoint("dynamo.backend.generate").client();
			await expect(client.choose()).rejects.toMatchObject({ code: "UNAVAILABLE" });
			cluster.setReady("worker-0", true);
			await expect.poll(() => client.instances()).toEqual([served.instance]);
			for await (const item of client.generate({ prompt: "hello" }, createRequestContext()))
				expect(item).toEqual({ prompt: "hello" });
			await served.drain();
			await expect.poll(() => client.instances()).toEqual([]);
		} finally {
			await Promise.all([serving.close(), calling.close()]);
		}
	});

	test("keys and values that the resource cannot hold are refused", async () => {
		const { store, lease } = await startWorker("worker-0");
		await expect(store.put("v2/x", "{}", lease)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		await expect(store.put(INSTANCE, "7", lease)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		expect(cluster.metadataOf("worker-0")).toBeNull();
	});
});

describe("faults", { timeout: 20_000 }, () => {
	/** Two workers that a frontend knows. */
	async function startTwo() {
		const { store, next } = await startFrontend();
		const [first, second] = [await startWorker("worker-0"), await startWorker("worker-1")];
		cluster.setReady("worker-0", true);
		cluster.setReady("worker-1", true);
		await first.store.put(INSTANCE, at("10.0.0.1:9000"), first.lease);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		await second.store.put(`${INSTANCE}2`, at("10.0.0.2:9000"), second.lease);
		expect(await next()).toEqual(put(at("10.0.0.2:9000"), `${INSTANCE}2`));
		return { store, next, first, second };
	}

	const endpointsOf = (resource: { [name: string]: unknown }) =>
		(resource["spec"] as { data: { endpoints: Record<string, { transport: { tcp: string } }> } }).data
			.endpoints;

	test.each(["event", "status"] as const)(
		"a watch from a forgotten version (told by %s) is a new list, and only the difference is told",
		async (goneAs) => {
			api.goneAs = goneAs;
			const { next } = await startTwo();
			await api.stop();
			cluster.editMetadata("worker-1", (resource) => {
				endpointsOf(resource)["dynamo/backend/generate/1f2"]!.transport.tcp = "10.0.0.3:9000";
			});
			api.objects.compact();
			const listed = api.served({ method: "GET", plural: "dynamoworkermetadatas", watch: false });
			await api.start();
			// The first worker did not change and is not told again; the second has the same key and another value.
			expect(await next()).toEqual(put(at("10.0.0.3:9000"), `${INSTANCE}2`));
			await listed;
			await api.stop();
			cluster.setReady("worker-0", false);
			api.objects.compact();
			await api.start();
			expect(await next()).toEqual(gone());
		},
	);

	test("a connection that breaks is resumed where it broke", async () => {
		const { next, first } = await startTwo();
		let lists = 0;
		void api.served({ method: "GET", watch: false }).then(() => lists++);
		api.cutConnections();
		await first.store.put(INSTANCE, at("10.0.0.7:9000"), first.lease);
		expect(await next()).toEqual(put(at("10.0.0.7:9000")));
		expect(lists).toBe(0);
	});

	test("an event that is not understood is made up for with a new list, not met again and again", async () => {
		const { next, first } = await startTwo();
		const listed = api.served({ method: "GET", plural: "dynamoworkermetadatas", watch: false });
		api.sendGarbage();
		await listed;
		await first.store.put(INSTANCE, at("10.0.0.7:9000"), first.lease);
		expect(await next()).toEqual(put(at("10.0.0.7:9000")));
	});

	test("a watch that the server ends is resumed where it ended, from a bookmark if nothing else happened", async () => {
		const { next, first } = await startTwo();
		let lists = 0;
		void api.served({ method: "GET", watch: false }).then(() => lists++);
		// Three stores with two watches each: all must have read the bookmark before the connection ends.
		api.sendBookmarks();
		api.objects.compact();
		api.endWatches();
		await first.store.put(INSTANCE, at("10.0.0.7:9000"), first.lease);
		expect(await next()).toEqual(put(at("10.0.0.7:9000")));
		expect(lists).toBe(0);
	});

	test("while the server is away what is known stays; what is put then is applied when it is back", async () => {
		const { store, next, first } = await startTwo();
		await expect.poll(() => [store.status, first.store.status]).toEqual(["connected", "connected"]);
		await api.stop();
		await expect.poll(() => store.status).toBe("disconnected");
		const refused = first.store.put(INSTANCE, at("10.0.0.8:9000"), first.lease);
		await expect(refused).rejects.toMatchObject({ code: "UNAVAILABLE" });
		await expect(refused).rejects.toThrow(/cannot be reached.*check its address/);
		const late = follow(store);
		expect(await late()).toEqual(put(at("10.0.0.1:9000")));
		await api.start();
		expect(await next()).toEqual(put(at("10.0.0.8:9000")));
		await expect.poll(() => [store.status, first.store.status]).toEqual(["connected", "connected"]);
	});

	test("a store that starts before the server waits for it", async () => {
		cluster.startPod("frontend-0");
		await api.stop();
		const { store, lease } = await startProcess("frontend-0", "uid-of-frontend-0");
		const next = follow(store);
		expect(store.status).toBe("disconnected");
		await expect(store.put(INSTANCE, at("10.0.0.1:9000"), lease)).rejects.toMatchObject({
			code: "UNAVAILABLE",
		});
		await lease.revoke();
		await api.start();
		expect(await next()).toEqual({ type: "synced" });
		await expect.poll(() => store.status).toBe("connected");
	});

	test("a token that was replaced is read anew", async () => {
		const { next, first } = await startTwo();
		api.token = "second-token";
		api.cutConnections();
		await expect(first.store.put(INSTANCE, at("10.0.0.8:9000"), first.lease)).rejects.toThrow(
			/401.*token is not accepted/,
		);
		await writeFile(tokenFile, "second-token");
		expect(await next()).toEqual(put(at("10.0.0.8:9000")));
	});

	test.each([
		["null data", (resource: Spec) => (resource["spec"] = { data: null })],
		["null spec", (resource: Spec) => (resource["spec"] = null)],
		["a list for a map", (resource: Spec) => (resource["spec"] = { data: { endpoints: [] } })],
		["text for a map", (resource: Spec) => (resource["spec"] = { data: { endpoints: "" } })],
	])("a resource that cannot be read (%s) keeps what it said last", async (_, spoil) => {
		const { next, first } = await startTwo();
		cluster.editMetadata("worker-0", spoil);
		cluster.setReady("worker-1", false);
		expect(await next()).toEqual(gone(`${INSTANCE}2`));
		await first.store.put(INSTANCE, at("10.0.0.7:9000"), first.lease);
		expect(await next()).toEqual(put(at("10.0.0.7:9000")));
	});

	test("null maps and records are absent ones", async () => {
		const { next } = await startTwo();
		cluster.editMetadata("worker-0", (resource) => {
			resource["spec"] = { data: { endpoints: { "x/y/z/1": null }, model_cards: null } };
			resource.metadata.annotations = null;
		});
		expect(await next()).toEqual(gone());
	});

	test("a resource that somebody deletes is applied again", async () => {
		const { next } = await startTwo();
		api.objects.delete("dynamoworkermetadatas", NAMESPACE, "worker-0");
		expect(await next()).toEqual(gone());
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
	});

	test("a worker that leaves does not delete the resource of the pod that took its name", async () => {
		const { first } = await startTwo();
		const resource = structuredClone(cluster.metadataOf("worker-0")!);
		await api.stop();
		api.objects.delete("dynamoworkermetadatas", NAMESPACE, "worker-0");
		delete resource.metadata.uid;
		api.objects.put("dynamoworkermetadatas", NAMESPACE, resource);
		await api.start();
		await first.lease.revoke();
		expect(cluster.metadataOf("worker-0")).not.toBeNull();
	});

	test("without Dynamo's resource definition the error says what to install, and it is made up for", async () => {
		const { next } = await startFrontend();
		const worker = await startWorker("worker-0");
		cluster.setReady("worker-0", true);
		api.definitionInstalled = false;
		await expect(worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease)).rejects.toThrow(
			/404.*install Dynamo's custom resource definitions/,
		);
		api.definitionInstalled = true;
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
	});

	test("without the right to write the error says which rights are needed", async () => {
		const worker = await startWorker("worker-0");
		api.refusing = 403;
		await expect(worker.store.put(INSTANCE, at("10.0.0.1:9000"), worker.lease)).rejects.toThrow(
			/403.*Role get, list, watch, create, patch and delete dynamoworkermetadatas/,
		);
		api.refusing = null;
	});

	test("a list of many pages is read to its end", async () => {
		for (let i = 0; i < 1200; i++)
			api.objects.put("dynamoworkermetadatas", NAMESPACE, {
				apiVersion: "nvidia.com/v1alpha1",
				kind: "DynamoWorkerMetadata",
				metadata: { name: `worker-${i}` },
				spec: { data: { endpoints: { [`n/c/e/${i}`]: { type: "Endpoint" } } } },
			});
		cluster.startPod("worker-1199");
		cluster.setReady("worker-1199", true);
		const { store } = await startWorker("frontend-0");
		const next = follow(store);
		expect(await next()).toEqual(put('{"type":"Endpoint"}', "v1/instances/n/c/e/1199"));
	});
});

type Spec = { [name: string]: unknown };

describe("containers", { timeout: 20_000 }, () => {
	const inContainer = (containerName: string) => ({ mode: "container" as const, containerName });

	test("each ready container is a worker of its own; the main one goes by the pod's name", async () => {
		const { next } = await startFrontend(inContainer("main"));
		const pod = cluster.startPod("worker-0", { containers: ["engine-0", "engine-1", "main"] });
		for (const container of ["engine-0", "engine-1", "main"]) {
			const { store, lease } = await startProcess("worker-0", pod, inContainer(container));
			await store.put(INSTANCE + container, at("10.0.0.1:9000"), lease);
		}
		expect(cluster.metadataOf("worker-0-engine-1")).toMatchObject({
			metadata: { ownerReferences: [{ name: "worker-0", uid: pod, controller: false }] },
		});
		cluster.setReady("worker-0", true, "engine-1");
		expect(await next()).toEqual(put(at("10.0.0.1:9000"), `${INSTANCE}engine-1`));
		cluster.setReady("worker-0", true, "main");
		expect(await next()).toEqual(put(at("10.0.0.1:9000"), `${INSTANCE}main`));
		cluster.setReady("worker-0", false, "engine-1");
		expect(await next()).toEqual(gone(`${INSTANCE}engine-1`));
		cluster.terminatePod("worker-0");
		expect(await next()).toEqual(gone(`${INSTANCE}main`));
	});

	test("a pod may name another main container", async () => {
		const { next } = await startFrontend(inContainer("main"));
		const pod = cluster.startPod("worker-0", { containers: ["engine", "main"], mainContainer: "engine" });
		const options = { ...inContainer("engine"), mainContainerName: "engine" };
		const { store, lease } = await startProcess("worker-0", pod, options);
		await store.put(INSTANCE, at("10.0.0.1:9000"), lease);
		expect(cluster.metadataOf("worker-0")).not.toBeNull();
		cluster.setReady("worker-0", true, "engine");
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
	});

	test("a container that starts again clears what it had published", async () => {
		const { next } = await startFrontend(inContainer("main"));
		const pod = cluster.startPod("worker-0");
		const before = await startProcess("worker-0", pod, inContainer("main"));
		await before.store.put(INSTANCE, at("10.0.0.1:9000"), before.lease);
		cluster.setReady("worker-0", true);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		const resource = structuredClone(cluster.metadataOf("worker-0")!);
		await before.store.close();
		expect(await next()).toEqual(gone());
		// As if it had been killed and could not withdraw.
		delete resource.metadata.uid;
		api.objects.put("dynamoworkermetadatas", NAMESPACE, resource);
		expect(await next()).toEqual(put(at("10.0.0.1:9000")));
		await startProcess("worker-0", pod, inContainer("main"));
		expect(await next()).toEqual(gone());
	});
});

describe("TLS", { timeout: 20_000 }, () => {
	const fixture = (name: string) =>
		readFile(new URL(`./kubernetes-api-double/__fixtures__/${name}`, import.meta.url), "utf8");

	test("the server's certificate is checked with caFile", async () => {
		const cert = await fixture("server-certificate.pem");
		const secure = new KubernetesApiDouble({ cert, key: await fixture("server-key.pem") });
		await secure.start();
		try {
			const caFile = join(directory, "ca.crt");
			await writeFile(caFile, cert);
			const trusting = await startProcess("worker-0", "uid-0", { apiServer: secure.url, caFile });
			await trusting.store.put(INSTANCE, at("10.0.0.1:9000"), trusting.lease);
			const wary = await startProcess("worker-1", "uid-1", { apiServer: secure.url });
			await expect(wary.store.put(INSTANCE, at("10.0.0.1:9000"), wary.lease)).rejects.toThrow(
				/self-signed certificate/,
			);
			expect(secure.objects.list("dynamoworkermetadatas", NAMESPACE)).toHaveLength(1);
			await trusting.store.close();
			await wary.store.close();
		} finally {
			await secure.stop();
		}
	});
});
