// SPDX-License-Identifier: Apache-2.0
import type { KeyValueStore, StoreEvent } from "../src/discovery/key-value-store.js";

/** Follows a prefix and keeps what it was told. */
export class StoreObserver {
	/** `put <last letter of the key>=<value>`, `delete <last letter>`, `synced`, `end`. */
	readonly events: string[] = [];
	readonly entries = new Map<string, string>();
	readonly #stop = new AbortController();
	#check = () => {};

	constructor(store: KeyValueStore, prefix: string) {
		void this.#follow(store.watch(prefix, this.#stop.signal));
	}

	/** Resolves when the entries are these; the test's time-out is the deadline. */
	has(entries: Record<string, string>): Promise<void> {
		const wanted = JSON.stringify(Object.entries(entries).sort());
		return this.until(() => JSON.stringify([...this.entries].sort()) === wanted);
	}

	synced(): Promise<void> {
		return this.until(() => this.events.includes("synced"));
	}

	async until(condition: () => boolean): Promise<void> {
		while (!condition())
			await new Promise<void>((resolve) => {
				const others = this.#check;
				this.#check = () => {
					others();
					resolve();
				};
			});
	}

	stop(): void {
		this.#stop.abort();
	}

	async #follow(events: AsyncIterable<StoreEvent>): Promise<void> {
		for await (const event of events) {
			if (event.type === "put") this.entries.set(event.key, event.value);
			if (event.type === "delete") this.entries.delete(event.key);
			const key = event.type === "synced" ? "" : ` ${event.key.slice(-1)}`;
			this.events.push(event.type + key + (event.type === "put" ? `=${event.value}` : ""));
			const check = this.#check;
			this.#check = () => {};
			check();
		}
		this.events.push("end");
	}
}
