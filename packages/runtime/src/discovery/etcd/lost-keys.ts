// SPDX-License-Identifier: Apache-2.0
import type { PrefixView } from "./prefix-view.js";

/**
 * Between etcd and a view: keys stay for a while when nobody deleted them. Their lease has ended or etcd has forgotten it,
 * and if that was etcd's trouble, their owner is alive and about to register again. That others of its endpoint are left
 * says nothing: they may be dead. What is dead does not answer, which a caller finds out anyway.
 */
export class LostKeys {
	readonly #view: PrefixView;
	readonly #holdMs: number;
	readonly #onGone: () => void;
	/** What the view is to show. */
	#known = new Map<string, string>();
	/** Those of it that etcd does not have, each with the end of its stay. */
	readonly #held = new Map<string, NodeJS.Timeout>();

	/** @param onGone called when a key's time is up, after the view was told */
	constructor(view: PrefixView, holdMs: number, onGone: () => void) {
		this.#view = view;
		this.#holdMs = holdMs;
		this.#onGone = onGone;
	}

	/** Takes a complete list. */
	replace(entries: ReadonlyMap<string, string>): void {
		const lost = [...this.#known].filter(([key]) => !entries.has(key));
		for (const key of this.#held.keys()) if (entries.has(key)) this.#release(key);
		for (const [key] of lost) this.#hold(key);
		this.#known = new Map([...lost, ...entries]);
		this.#view.replace(this.#known);
	}

	/** Takes a key that has a value. */
	put(key: string, value: string): void {
		this.#release(key);
		this.#known.set(key, value);
		this.#view.set(key, value);
	}

	/** Takes a key that etcd has no more. It stays until `removeHeld` or the end of its time. */
	lose(key: string): void {
		if (this.#known.has(key)) this.#hold(key);
	}

	/** Takes a key that its owner has deleted, unless it was put again meanwhile. */
	removeHeld(key: string): void {
		if (this.#held.has(key)) this.#remove(key);
	}

	#remove(key: string): void {
		this.#release(key);
		this.#known.delete(key);
		this.#view.set(key, undefined);
	}

	/** Ends all stays. */
	close(): void {
		for (const key of [...this.#held.keys()]) this.#release(key);
	}

	#hold(key: string): void {
		if (this.#held.has(key)) return;
		const timer = setTimeout(() => {
			this.#remove(key);
			this.#onGone();
		}, this.#holdMs);
		this.#held.set(key, timer.unref());
	}

	#release(key: string): void {
		clearTimeout(this.#held.get(key));
		this.#held.delete(key);
	}
}
