// SPDX-License-Identifier: Apache-2.0
import type { StoreEvent } from "../key-value-store.js";

/**
 * What a watcher was told of a prefix against what the server has: whatever happened in between, the difference by value is
 * what remains to be told. It holds each key once, so a slow reader costs no memory.
 */
export class PrefixView {
	/** What the server has, as far as known. */
	#present = new Map<string, string>();
	readonly #told = new Map<string, string>();
	/** Keys of which `#present` and `#told` may differ, oldest change first. */
	readonly #changed = new Set<string>();
	#synced: "not listed" | "listed" | "told" = "not listed";

	/** Takes a complete list: keys that are not in it are gone. */
	replace(entries: ReadonlyMap<string, string>): void {
		this.#present = new Map(entries);
		for (const key of this.#told.keys()) this.#changed.add(key);
		for (const key of entries.keys()) this.#changed.add(key);
		if (this.#synced === "not listed") this.#synced = "listed";
	}

	/** Takes one change; undefined for a key that is gone. */
	set(key: string, value: string | undefined): void {
		if (value === undefined) this.#present.delete(key);
		else this.#present.set(key, value);
		this.#changed.add(key);
	}

	/** The next thing to tell, or undefined when everything was told. */
	next(): StoreEvent | undefined {
		for (const key of this.#changed) {
			this.#changed.delete(key);
			const value = this.#present.get(key);
			if (value === this.#told.get(key)) continue;
			if (value === undefined) {
				this.#told.delete(key);
				return { type: "delete", key };
			}
			this.#told.set(key, value);
			return { type: "put", key, value };
		}
		if (this.#synced !== "listed") return undefined;
		this.#synced = "told";
		return { type: "synced" };
	}
}
