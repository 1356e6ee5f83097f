// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, DynError, type Logger } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import type { Instance, ModelChange, ModelEntry, ModelRegistry } from "../types.js";
import { type KeyValueStore, type Lease, MODELS_PREFIX } from "./key-value-store.js";
import { decodeModelEntry, encodeModelEntry, modelKey } from "./records.js";
import { WatchedMap } from "./watched-map.js";

/** Model cards, one per serving instance and one for each of its adapters, under the instance's own key. */
export class StoreModelRegistry implements ModelRegistry {
	readonly #store: KeyValueStore;
	readonly #lease: Lease;
	readonly #logger: Logger;
	readonly #models: WatchedMap<ModelEntry>;
	readonly #watchers = new Set<AsyncQueue<ModelChange>>();

	constructor(store: KeyValueStore, lease: Lease, logger: Logger) {
		this.#store = store;
		this.#lease = lease;
		this.#logger = logger;
		this.#models = new WatchedMap<ModelEntry>(
			store,
			MODELS_PREFIX,
			decodeModelEntry,
			logger,
			({ value, previous }) => {
				for (const watcher of this.#watchers) {
					if (previous) watcher.push({ type: "removed", entry: previous });
					if (value) watcher.push({ type: "added", entry: value });
				}
			},
		);
	}

	/** Resolves when `list` has every model that was published before. */
	get synced(): Promise<void> {
		return this.#models.synced;
	}

	async publish(
		card: ModelCard,
		{ id, path }: Pick<Instance, "id" | "path">,
	): Promise<{ withdraw(): Promise<void> }> {
		const entry = { card, id, path };
		const key = MODELS_PREFIX + modelKey(entry);
		await this.#store.put(key, encodeModelEntry(entry), this.#lease).catch((error) => {
			if (!DynError.is(error, "UNAVAILABLE")) throw error;
			this.#logger.warn("discovery cannot be reached: the model appears when it can", {
				model: card.name,
				error,
			});
		});
		return { withdraw: () => this.#store.delete(key) };
	}

	list(): readonly ModelEntry[] {
		return [...this.#models.entries.values()];
	}

	watch(signal: AbortSignal): AsyncIterable<ModelChange> {
		const queue: AsyncQueue<ModelChange> = new AsyncQueue(() => stop());
		const stop = () => {
			this.#watchers.delete(queue);
			signal.removeEventListener("abort", stop);
			queue.end();
		};
		for (const entry of this.list()) queue.push({ type: "added", entry });
		this.#watchers.add(queue);
		signal.addEventListener("abort", stop, { once: true });
		if (signal.aborted) stop();
		return queue;
	}

	close(): void {
		this.#models.close();
		for (const watcher of this.#watchers) watcher.end();
		this.#watchers.clear();
	}
}
