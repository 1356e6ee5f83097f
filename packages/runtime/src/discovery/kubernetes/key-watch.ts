// SPDX-License-Identifier: Apache-2.0
import type { StoreEvent } from "../key-value-store.js";

/**
 * One watch of a prefix. Remembers which keys may have changed, and looks at the value when the reader asks: a slow reader
 * holds up no more than the number of keys, and is told the newest value only.
 */
export class KeyWatch implements AsyncIterable<StoreEvent> {
	readonly #prefix: string;
	readonly #lookUp: (key: string) => string | undefined;
	readonly #isComplete: () => boolean;
	readonly #onClose: () => void;
	readonly #told = new Map<string, string>();
	readonly #changed = new Set<string>();
	#toldSynced = false;
	#closed = false;
	#wake: () => void = () => {};

	/**
	 * @param isComplete whether all that is present has been given to `changed`
	 * @param onClose called once, when the reader leaves or `close` is called
	 */
	constructor(
		prefix: string,
		lookUp: (key: string) => string | undefined,
		isComplete: () => boolean,
		onClose: () => void,
	) {
		this.#prefix = prefix;
		this.#lookUp = lookUp;
		this.#isComplete = isComplete;
		this.#onClose = onClose;
	}

	changed(keys: Iterable<string>): void {
		for (const key of keys) if (key.startsWith(this.#prefix)) this.#changed.add(key);
		this.#wake();
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#onClose();
		this.#wake();
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<StoreEvent, void> {
		try {
			while (!this.#closed) {
				const event = this.#next();
				if (event) yield event;
				else
					await new Promise<void>((resolve) => {
						this.#wake = resolve;
					});
			}
		} finally {
			this.close();
		}
	}

	#next(): StoreEvent | null {
		for (const key of this.#changed) {
			this.#changed.delete(key);
			const value = this.#lookUp(key);
			if (value === this.#told.get(key)) continue;
			if (value === undefined) {
				this.#told.delete(key);
				return { type: "delete", key };
			}
			this.#told.set(key, value);
			return { type: "put", key, value };
		}
		if (this.#toldSynced || !this.#isComplete()) return null;
		this.#toldSynced = true;
		return { type: "synced" };
	}
}
