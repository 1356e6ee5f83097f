// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import type { KeyValueStore, Lease, StoreEvent } from "../src/discovery/key-value-store.js";
import { createKubernetesStore, type KubernetesStoreOptions } from "../src/discovery/kubernetes/index.js";
import { KubernetesApiDouble } from "./kubernetes-api-double/api-server.js";
import { Cluster, NAMESPACE, type PodOptions } from "./kubernetes-api-double/cluster.js";

export const INSTANCE = "v1/instances/dynamo/backend/generate/1f";
export const MODEL = "v1/mdc/dynamo/backend/generate/1f";
export const CHANNEL = "v1/event_channels/dynamo/backend/kv-events/1f";
export const at = (address: string) =>
	`{"type":"Endpoint","instance_id":9007199254740993,"transport":{"tcp":"${address}"}}`;

export let api: KubernetesApiDouble;
export let cluster: Cluster;
export let directory: string;
export let tokenFile: string;
const stores: KeyValueStore[] = [];

/** Gives each test of a file an API server and a cluster of its own. */
export function useKubernetes(): void {
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
}

export interface Worker {
	readonly store: KeyValueStore;
	readonly lease: Lease;
	readonly podUid: string;
}

/** The process of a pod; the pod is not ready. */
export async function startWorker(
	podName: string,
	options: Partial<KubernetesStoreOptions> = {},
	pod: PodOptions = {},
): Promise<Worker> {
	return startProcess(podName, cluster.startPod(podName, pod), options);
}

export async function startProcess(
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
export function follow(store: KeyValueStore, prefix = "v1/"): () => Promise<StoreEvent | "end"> {
	const events = store.watch(prefix, new AbortController().signal)[Symbol.asyncIterator]();
	return async () => {
		const { value, done } = await events.next();
		return done ? "end" : value;
	};
}

/** A frontend that has seen that nothing is there. */
export async function startFrontend(options: Partial<KubernetesStoreOptions> = {}) {
	const { store } = await startWorker("frontend-0", options);
	const next = follow(store);
	expect(await next()).toEqual({ type: "synced" });
	return { store, next };
}

export const put = (value: string, key = INSTANCE) => ({ type: "put", key, value });
export const gone = (key = INSTANCE) => ({ type: "delete", key });
