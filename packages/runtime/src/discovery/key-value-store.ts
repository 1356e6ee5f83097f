// SPDX-License-Identifier: Apache-2.0

export type StoreEvent =
	| { readonly type: "put"; readonly key: string; readonly value: string }
	| { readonly type: "delete"; readonly key: string }
	/** Everything that was present when the watch began has been told. */
	| { readonly type: "synced" };

/** What was put under a lease disappears with it, or some time after its owner has died. */
export interface Lease {
	revoke(): Promise<void>;
}

/**
 * Discovery's memory. Keys are paths as in Dynamo: `v1/instances/<namespace>/<component>/<endpoint>/<instance id, hex>`,
 * `v1/mdc/…`, `v1/event_channels/…`. Values are JSON texts, kept verbatim: ids in them are u64.
 *
 * A store that cannot reach its server goes on: what was put stays wanted and is put again when the server is back, what
 * was seen stays known, and a watch then tells the difference by value. It never ends the process.
 */
export interface KeyValueStore {
	/** Whether what is known is current; for logs and metrics. */
	readonly status: "connected" | "disconnected";
	lease(): Promise<Lease>;
	/**
	 * Resolves when the value is there for others.
	 * @throws DynError UNAVAILABLE when the server cannot be reached; the value is put as soon as it can
	 */
	put(key: string, value: string, lease: Lease): Promise<void>;
	delete(key: string): Promise<void>;
	/**
	 * First a put per present key under `prefix`, then `synced`, then changes, until `signal` aborts or the store closes.
	 * Values that did not change are not told again.
	 */
	watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreEvent>;
	/** Revokes every lease. Idempotent. */
	close(): Promise<void>;
}

export const INSTANCES_PREFIX = "v1/instances/";
export const MODELS_PREFIX = "v1/mdc/";
export const EVENT_CHANNELS_PREFIX = "v1/event_channels/";
export const EVENT_SOURCES_PREFIX = "v1/event_sources/";
