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
	readonly #decode: (text: string) => T;
	readonly #logger: Logger;
	readonly #listener: MapListener<T>;

	/**
	 * @param decode reads a value; one that it throws at is as if it had not come: what was known of the key stays
	 * @param listener hears of every change, after it is in `entries`
	 */
	constructor(
		store: KeyValueStore,
		prefix: string,
		decode: (text: string) => T,
		logger: Logger,
		listener: MapListener<T> = () => {},
	) {
		this.#decode = decode;
		this.#logger = logger;
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
			let value: T | undefined;
			try {
				if (event.type === "put") value = this.#decode(event.value);
			} catch (error) {
				this.#logger.warn("an entry of discovery cannot be read and is skipped", { key: event.key, error });
				continue;
			}
			if (value === undefined) this.entries.delete(event.key);
			else this.entries.set(event.key, value);
			this.#listener({
				...(value === undefined ? {} : { value }),
				...(previous === undefined ? {} : { previous }),
			});
		}
	}
}
