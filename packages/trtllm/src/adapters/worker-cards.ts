// SPDX-License-Identifier: Apache-2.0
import type { ModelCard } from "@dyn/protocols";
import { adapterCard } from "./adapters.js";

interface Published {
	withdraw(): Promise<void>;
}

export interface WorkerCardsParts {
	/** That of the model. */
	readonly card: ModelCard;
	/** Names of the adapters that are loaded. */
	readonly adapters: readonly string[];
	/** Puts a card into discovery. */
	publish(card: ModelCard): Promise<Published>;
	/** A worker is in discovery with its KV events or not at all: a router that knew it without would not listen. */
	readonly kvEvents: { announce(): Promise<void>; withdraw(): Promise<void> } | null;
}

/**
 * What discovery says of a worker: the card of its model and one of each adapter, which may come and go. Everything is done in
 * the order in which it was asked for.
 */
export class WorkerCards {
	readonly #parts: WorkerCardsParts;
	readonly #adapters: Set<string>;
	/** Cards in discovery, by name; null while the worker is not there. */
	#published: Map<string, Published> | null = null;
	#last: Promise<unknown> = Promise.resolve();

	constructor(parts: WorkerCardsParts) {
		this.#parts = parts;
		this.#adapters = new Set(parts.adapters);
	}

	/** Comes into discovery. What was published before a failure is not published again. */
	publish(): Promise<Published> {
		const { card, kvEvents } = this.#parts;
		return this.#inTurn(async () => {
			await kvEvents?.announce();
			this.#published ??= new Map();
			await this.#publish(card);
			for (const name of this.#adapters) await this.#publish(adapterCard(card, name));
			return { withdraw: () => this.#withdraw() };
		});
	}

	/** The card of an adapter, now if the worker is in discovery, else when it comes there. */
	add(adapter: string): Promise<void> {
		return this.#inTurn(async () => {
			if (this.#published) await this.#publish(adapterCard(this.#parts.card, adapter));
			this.#adapters.add(adapter);
		});
	}

	remove(adapter: string): Promise<void> {
		return this.#inTurn(async () => {
			await this.#published?.get(adapter)?.withdraw();
			this.#published?.delete(adapter);
			this.#adapters.delete(adapter);
		});
	}

	async #publish(card: ModelCard): Promise<void> {
		if (!this.#published!.has(card.name)) this.#published!.set(card.name, await this.#parts.publish(card));
	}

	#withdraw(): Promise<void> {
		return this.#inTurn(async () => {
			for (const [name, each] of [...(this.#published ?? [])].reverse()) {
				await each.withdraw();
				this.#published!.delete(name);
			}
			this.#published = null;
			await this.#parts.kvEvents?.withdraw();
		});
	}

	#inTurn<T>(work: () => Promise<T>): Promise<T> {
		const done = this.#last.then(work);
		this.#last = done.catch(() => {});
		return done;
	}
}
