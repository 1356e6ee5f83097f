// SPDX-License-Identifier: Apache-2.0

/** Items that wait before their source is asked to pause. */
const HIGH_WATER = 64;

/**
 * Items of one answer between the connection that brings them and the one reader that takes them. The source is paused
 * while many wait, so a slow reader slows its worker and nothing else.
 */
export class ItemStream<T> implements AsyncIterator<T, undefined> {
	readonly #source: { pause(): void; resume(): void; leave(): void };
	#items: T[] = [];
	#paused = false;
	#end: { readonly error: unknown } | "complete" | null = null;
	#waiting: {
		readonly resolve: (result: IteratorResult<T, undefined>) => void;
		readonly reject: (error: unknown) => void;
	} | null = null;

	/** @param source told to pause and go on, and once when the reader leaves before the end */
	constructor(source: { pause(): void; resume(): void; leave(): void }) {
		this.#source = source;
	}

	get ended(): boolean {
		return this.#end !== null;
	}

	push(item: T): void {
		if (this.#end) return;
		if (this.#waiting) {
			const { resolve } = this.#waiting;
			this.#waiting = null;
			resolve({ value: item, done: false });
			return;
		}
		this.#items.push(item);
		if (this.#items.length < HIGH_WATER || this.#paused) return;
		this.#paused = true;
		this.#source.pause();
	}

	complete(): void {
		if (this.#end) return;
		this.#end = "complete";
		this.#waiting?.resolve({ value: undefined, done: true });
		this.#waiting = null;
	}

	/** Ends with `error`, after what came before. */
	fail(error: unknown): void {
		if (this.#end) return;
		this.#end = { error };
		if (!this.#waiting) return;
		const { reject } = this.#waiting;
		this.#waiting = null;
		this.#end = "complete";
		reject(error);
	}

	next(): Promise<IteratorResult<T, undefined>> {
		if (this.#items.length > 0) {
			const value = this.#items.shift()!;
			if (this.#paused && this.#items.length < HIGH_WATER / 2) {
				this.#paused = false;
				this.#source.resume();
			}
			return Promise.resolve({ value, done: false });
		}
		if (this.#end && this.#end !== "complete") {
			const { error } = this.#end;
			this.#end = "complete";
			return Promise.reject(error);
		}
		if (this.#end) return Promise.resolve({ value: undefined, done: true });
		return new Promise((resolve, reject) => {
			this.#waiting = { resolve, reject };
		});
	}

	/** The reader leaves. */
	async return(): Promise<IteratorResult<T, undefined>> {
		this.#items = [];
		if (!this.#end) {
			this.complete();
			this.#source.leave();
		}
		return { value: undefined, done: true };
	}

	[Symbol.asyncIterator](): this {
		return this;
	}
}
