// SPDX-License-Identifier: Apache-2.0
import type { StoreEvent } from "../key-value-store.js";
import { KeyWatch } from "./key-watch.js";

/** What the store knows, by key, and those who watch it. */
export class PublishedEntries {
	#entries: ReadonlyMap<string, string> = new Map();
	#synced = false;
	#closed = false;
	readonly #watches = new Set<KeyWatch>();

	/** Tells every watch what differs from the entries before, by value. From now on they are complete. */
	replace(entries: ReadonlyMap<string, string>): void {
		const before = this.#entries;
		this.#entries = entries;
		this.#synced = true;
		const changed = [...entries.keys()].filter((key) => entries.get(key) !== before.get(key));
		for (const key of before.keys()) if (!entries.has(key)) changed.push(key);
		for (const watch of this.#watches) watch.changed(changed);
	}

	watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreEvent> {
		const watch = new KeyWatch(
			prefix,
			(key) => this.#entries.get(key),
			() => this.#synced,
			() => {
				signal.removeEventListener("abort", stop);
				this.#watches.delete(watch);
			},
		);
		const stop = () => watch.close();
		watch.changed(this.#entries.keys());
		if (this.#closed || signal.aborted) watch.close();
		else {
			this.#watches.add(watch);
			signal.addEventListener("abort", stop, { once: true });
		}
		return watch;
	}

	/** Ends every watch. */
	close(): void {
		this.#closed = true;
		for (const watch of this.#watches) watch.close();
	}
}
