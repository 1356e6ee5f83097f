// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { describe, expect, test } from "vitest";
import { createRuntime } from "../../src/create-runtime.js";
import { createTcpPlane } from "../../src/request-plane/tcp/index.js";
import { NAMESPACE } from "../kubernetes-api-double/cluster.js";
import {
	api,
	at,
	CHANNEL,
	cluster,
	follow,
	gone,
	INSTANCE,
	MODEL,
	put,
	startFrontend,
	startProcess,
	startWorker,
	useKubernetes,
	type Worker,
} from "../kubernetes-fixture.js";

useKubernetes();

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
