// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { KeyValueStore } from "./key-value-store.js";

/** What happened to one key; `value` is undefined when it is gone, `previous` when it is new. */
export type MapListener<T> = (change: { readonly value?: T; readonly previous?: T }) => void;

/** A live copy of everything under a prefix. */
export class WatchedMap<T> {
	readonly entries: Map<string, T> = new Map();
	/** Resolves when all that was present at the beginning is in `entries`, or the watch has ended. */
	readonly synced: Promise<void>;
	readonly #stop = new AbortController();
	readonly #listener: MapListener<T>;

	/** @param listener hears of every change, after it is in `entries` */
	constructor(store: KeyValueStore, prefix: string, logger: Logger, listener: MapListener<T> = () => {}) {
		this.#listener = listener;
		this.synced = new Promise((resolve) => {
			this.#follow(store, prefix, resolve)
				.catch((error) =>
					logger.error("discovery watch ended: what is known stays, changes are not seen", { prefix, error }),
				)
				.finally(resolve);
		});
	}

	close(): void {
		this.#stop.abort();
	}

	async #follow(store: KeyValueStore, prefix: string, onSynced: () => void): Promise<void> {
		for await (const event of store.watch(prefix, this.#stop.signal)) {
			if (event.type === "synced") {
				onSynced();
				continue;
			}
			const previous = this.entries.get(event.key);
			const value = event.type === "put" ? (event.value as T) : undefined;
			if (value === undefined) this.entries.delete(event.key);
			else this.entries.set(event.key, value);
			this.#listener({
				...(value === undefined ? {} : { value }),
				...(previous === undefined ? {} : { previous }),
			});
		}
	}
}
