// SPDX-License-Identifier: Apache-2.0

export type StoreEvent =
	| { readonly type: "put"; readonly key: string; readonly value: unknown }
	| { readonly type: "delete"; readonly key: string }
	/** Everything that was present when the watch began has been told. */
	| { readonly type: "synced" };

/** What was put under a lease disappears with it. */
export interface Lease {
	readonly id: number;
	revoke(): Promise<void>;
}

/**
 * Discovery's memory. Keys are paths as in Dynamo: `v1/instances/<namespace>/<component>/<endpoint>/<instance id, hex>`
 * and `v1/mdc/…`. Values are JSON.
 */
export interface KeyValueStore {
	lease(): Promise<Lease>;
	put(key: string, value: unknown, lease: Lease): Promise<void>;
	delete(key: string): Promise<void>;
	/** First a put per present key under `prefix`, then `synced`, then changes, until `signal` aborts or the store closes. */
	watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreEvent>;
	close(): Promise<void>;
}

export const INSTANCES_PREFIX = "v1/instances/";
export const MODELS_PREFIX = "v1/mdc/";
