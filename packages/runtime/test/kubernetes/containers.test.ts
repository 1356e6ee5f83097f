// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { NAMESPACE } from "../kubernetes-api-double/cluster.js";
import {
	api,
	at,
	cluster,
	gone,
	INSTANCE,
	put,
	startFrontend,
	startProcess,
	useKubernetes,
} from "../kubernetes-fixture.js";

useKubernetes();

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
