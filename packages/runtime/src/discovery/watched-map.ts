// SPDX-License-Identifier: Apache-2.0
import type { KeyValueStore, StoreEvent } from "./key-value-store.js";

/** A live copy of everything under a prefix. */
export class WatchedMap<T> {
	readonly entries: Map<string, T> = new Map();
	readonly #stop = new AbortController();
	readonly #listeners = new Set<(event: StoreEvent, previous: T | undefined) => void>();

	constructor(store: KeyValueStore, prefix: string) {
		void this.#follow(store.watch(prefix, this.#stop.signal));
	}

	/** Hears of every change, after it is in `entries`. Returns the way out. */
	onChange(listener: (event: StoreEvent, previous: T | undefined) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	close(): void {
		this.#stop.abort();
	}

	async #follow(events: AsyncIterable<StoreEvent>): Promise<void> {
		for await (const event of events) {
			const previous = this.entries.get(event.key);
			if (event.type === "put") this.entries.set(event.key, event.value as T);
			else this.entries.delete(event.key);
			for (const listener of this.#listeners) listener(event, previous);
		}
	}
}
