// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { NAMESPACE } from "../kubernetes-api-double/cluster.js";
import {
	api,
	at,
	cluster,
	follow,
	gone,
	INSTANCE,
	put,
	startFrontend,
	startProcess,
	startWorker,
	tokenFile,
	useKubernetes,
} from "../kubernetes-fixture.js";

useKubernetes();

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
