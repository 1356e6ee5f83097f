// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, DynError } from "@dyn/common";
import type { KeyValueStore, Lease, StoreEvent } from "./key-value-store.js";

/** Discovery inside one process. Share one instance between runtimes that are to see each other. */
export class MemoryStore implements KeyValueStore {
	readonly status = "connected";
	readonly #entries = new Map<string, { readonly value: string; readonly lease: Lease }>();
	readonly #watchers = new Map<AsyncQueue<StoreEvent>, string>();
	#closed = false;

	async lease(): Promise<Lease> {
		const lease: Lease = {
			revoke: async () => {
				for (const [key, entry] of [...this.#entries]) if (entry.lease === lease) await this.delete(key);
			},
		};
		return lease;
	}

	async put(key: string, value: string, lease: Lease): Promise<void> {
		if (this.#closed) throw new DynError("UNAVAILABLE", "the discovery store is closed");
		const known = this.#entries.get(key)?.value;
		this.#entries.set(key, { value, lease });
		if (value !== known) this.#publish({ type: "put", key, value });
	}

	async delete(key: string): Promise<void> {
		if (this.#entries.delete(key)) this.#publish({ type: "delete", key });
	}

	watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreEvent> {
		const queue: AsyncQueue<StoreEvent> = new AsyncQueue(() => stop());
		const stop = () => {
			this.#watchers.delete(queue);
			signal.removeEventListener("abort", stop);
			queue.end();
		};
		for (const [key, { value }] of this.#entries)
			if (key.startsWith(prefix)) queue.push({ type: "put", key, value });
		queue.push({ type: "synced" });
		if (this.#closed || signal.aborted) queue.end();
		else {
			this.#watchers.set(queue, prefix);
			signal.addEventListener("abort", stop, { once: true });
		}
		return queue;
	}

	async close(): Promise<void> {
		this.#closed = true;
		for (const queue of this.#watchers.keys()) queue.end();
		this.#watchers.clear();
	}

	#publish(event: Exclude<StoreEvent, { type: "synced" }>): void {
		for (const [queue, prefix] of this.#watchers) if (event.key.startsWith(prefix)) queue.push(event);
	}
}
