// SPDX-License-Identifier: Apache-2.0
import type { KeyValueStore } from "../discovery/key-value-store.js";
import { MemoryStore } from "../discovery/memory-store.js";

/** A memory store with some methods replaced. */
export function storeWith(
	changes: (store: MemoryStore) => Partial<KeyValueStore>,
	store: MemoryStore = new MemoryStore(),
): KeyValueStore {
	return {
		status: "connected",
		lease: () => store.lease(),
		put: (key, value, lease) => store.put(key, value, lease),
		delete: (key) => store.delete(key),
		watch: (prefix, signal) => store.watch(prefix, signal),
		close: () => store.close(),
		...changes(store),
	};
}
