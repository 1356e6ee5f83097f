// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument, type Logger, silentLogger } from "@dyn/common";
import { parseJson } from "@dyn/protocols/json";
import { EVENT_SOURCES_PREFIX, type KeyValueStore, type Lease, type StoreEvent } from "../key-value-store.js";
import { ApiClient } from "./api-client.js";
import { isObject } from "./json-object.js";
import { MetadataCache } from "./metadata-cache.js";
import { checkOptions, type KubernetesStoreOptions } from "./options.js";
import { OwnMetadata } from "./own-metadata.js";
import { PublishedEntries } from "./published-entries.js";
import { DISCOVERY_LABELS, metadataName, readyInPod, readyInSlice } from "./readiness.js";
import { ReadinessIndex } from "./readiness-index.js";
import { ResourceMirror } from "./resource-mirror.js";
import { hasSection } from "./worker-metadata.js";

/**
 * Discovery in Kubernetes as Dynamo does it. What this pod publishes is in its own DynamoWorkerMetadata resource, which
 * Kubernetes deletes with the pod. What is seen is that of every worker of the namespace which is ready, this one included.
 * Records in `v1/event_sources/` have no place in the resource: putting one does nothing.
 *
 * Integers in values must be below 2^63: Kubernetes rounds larger ones.
 * @throws DynError INVALID_ARGUMENT naming the option. A server that cannot be reached is no error; see `status`.
 */
export async function createKubernetesStore(options: KubernetesStoreOptions): Promise<KeyValueStore> {
	checkOptions(options);
	return new KubernetesStore(options);
}

class KubernetesStore implements KeyValueStore {
	readonly #client: ApiClient;
	readonly #own: OwnMetadata;
	readonly #metadata: MetadataCache;
	readonly #readiness: ReadinessIndex;
	readonly #mirrors: readonly ResourceMirror[];
	readonly #logger: Logger;
	readonly #wanted = new Map<string, { readonly value: string; readonly lease: Lease }>();
	readonly #published = new PublishedEntries();
	#joining: NodeJS.Immediate | null = null;
	#closing: Promise<void> | null = null;

	constructor(options: KubernetesStoreOptions) {
		const { podName, podUid, containerName, mainContainerName = null, logger = silentLogger } = options;
		const ofContainer = options.mode === "container";
		const collection = (api: string, plural: string) =>
			`${api}/namespaces/${encodeURIComponent(options.namespace)}/${plural}`;
		const resources = collection("/apis/nvidia.com/v1alpha1", "dynamoworkermetadatas");
		const ready = ofContainer
			? { path: collection("/api/v1", "pods"), read: readyInPod }
			: { path: collection("/apis/discovery.k8s.io/v1", "endpointslices"), read: readyInSlice };
		const name = metadataName(podName, ofContainer ? containerName! : null, mainContainerName);

		this.#logger = logger;
		this.#client = new ApiClient(options);
		// A pod outlives its containers: what this container published in an earlier life is still there.
		this.#own = new OwnMetadata(this.#client, resources, { name, podName, podUid }, ofContainer, logger);
		this.#metadata = new MetadataCache(
			() => this.#changed(),
			(gone) => gone === name && this.#own.missing(),
			logger,
		);
		this.#readiness = new ReadinessIndex(ready.read, () => this.#changed());
		this.#mirrors = [
			new ResourceMirror(this.#client, resources, null, this.#metadata, logger),
			new ResourceMirror(this.#client, ready.path, DISCOVERY_LABELS, this.#readiness, logger),
		];
	}

	get status(): "connected" | "disconnected" {
		const connected = this.#own.current && this.#mirrors.every((mirror) => mirror.connected);
		return connected && this.#closing === null ? "connected" : "disconnected";
	}

	async lease(): Promise<Lease> {
		const lease: Lease = {
			revoke: async () => {
				const mine = [...this.#wanted].filter(([, entry]) => entry.lease === lease);
				for (const [key] of mine) this.#wanted.delete(key);
				if (mine.length > 0) await this.#withdraw();
			},
		};
		return lease;
	}

	async put(key: string, value: string, lease: Lease): Promise<void> {
		if (this.#closing) throw new DynError("UNAVAILABLE", "the discovery store is closed");
		if (key.startsWith(EVENT_SOURCES_PREFIX)) return;
		if (!hasSection(key))
			throw invalidArgument(
				"key",
				`"${key}" has no place in a DynamoWorkerMetadata resource: use v1/instances/, v1/mdc/ or v1/event_channels/`,
			);
		if (!isObject(parseJson(value))) throw invalidArgument("value", `the value of ${key} is no JSON object`);
		this.#wanted.set(key, { value, lease });
		await this.#write();
	}

	async delete(key: string): Promise<void> {
		if (this.#wanted.delete(key)) await this.#write();
	}

	watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreEvent> {
		return this.#published.watch(prefix, signal);
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close(): Promise<void> {
		// A server that just now did not answer is not asked again: what is left goes with the pod.
		const leftOver = this.#wanted.size > 0 || this.#own.current;
		this.#wanted.clear();
		if (leftOver) await this.#withdraw();
		this.#own.close();
		this.#client.close();
		for (const mirror of this.#mirrors) mirror.close();
		this.#published.close();
	}

	#write(): Promise<void> {
		return this.#own.set(new Map([...this.#wanted].map(([key, { value }]) => [key, value])));
	}

	/** Writes what is left. Leaving must not fail because the server does not answer. */
	async #withdraw(): Promise<void> {
		await this.#write().catch((error: unknown) =>
			this.#logger.warn("what this worker published stays until its pod is deleted", { error }),
		);
	}

	/** Events that arrive together are one change. */
	#changed(): void {
		this.#joining ??= setImmediate(() => {
			this.#joining = null;
			this.#join();
		});
	}

	/** What is known of the workers that are ready. A pod of the same name and another uid is another pod. */
	#join(): void {
		if (!this.#metadata.listed || !this.#readiness.listed) return;
		const entries = new Map<string, string>();
		for (const { resource, podUid } of this.#readiness.workers) {
			const worker = this.#metadata.workers.get(resource);
			if (!worker || (podUid !== null && worker.podUid !== null && podUid !== worker.podUid)) continue;
			for (const [key, value] of worker.entries) entries.set(key, value);
		}
		this.#published.replace(entries);
	}
}
