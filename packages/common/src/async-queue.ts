// SPDX-License-Identifier: Apache-2.0

/**
 * The one queue-to-iterator class: a producer pushes, one consumer iterates.
 * Breaking out of the loop closes the queue and calls `onReturn`, so producers can stop.
 */
export class AsyncQueue<T> implements AsyncIterable<T> {
	#items: T[] = [];
	#head = 0;
	#waiting: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void } | null = null;
	#ended = false;
	#error: { value: unknown } | null = null;
	#iterated = false;
	readonly #onReturn: (() => void) | undefined;

	constructor(onReturn?: () => void) {
		this.#onReturn = onReturn;
	}

	/** Items pushed and not yet taken. */
	get size(): number {
		return this.#items.length - this.#head;
	}

	/** True once `end` or `fail` was called or the consumer left; later pushes are dropped. */
	get ended(): boolean {
		return this.#ended;
	}

	push(item: T): void {
		if (this.#ended) return;
		if (this.#waiting) {
			const { resolve } = this.#waiting;
			this.#waiting = null;
			resolve({ value: item, done: false });
		} else this.#items.push(item);
	}

	/** No more items; those already pushed are still delivered. */
	end(): void {
		if (this.#ended) return;
		this.#ended = true;
		this.#waiting?.resolve({ value: undefined, done: true });
		this.#waiting = null;
	}

	/** Like `end`, but the consumer gets `error` after the items already pushed. */
	fail(error: unknown): void {
		if (this.#ended) return;
		this.#ended = true;
		if (this.#waiting) {
			const { reject } = this.#waiting;
			this.#waiting = null;
			reject(error);
		} else this.#error = { value: error };
	}

	[Symbol.asyncIterator](): AsyncIterator<T, undefined> {
		if (this.#iterated) throw new TypeError("AsyncQueue can be iterated once");
		this.#iterated = true;
		return {
			next: () => this.#next(),
			return: async () => {
				const first = !this.#ended;
				this.#ended = true;
				this.#items = [];
				this.#head = 0;
				if (first) this.#onReturn?.();
				return { value: undefined, done: true };
			},
		};
	}

	#next(): Promise<IteratorResult<T, undefined>> {
		if (this.#head < this.#items.length) {
			const value = this.#items[this.#head] as T;
			this.#items[this.#head++] = undefined as T;
			if (this.#head > 64 && this.#head * 2 > this.#items.length) {
				this.#items = this.#items.slice(this.#head);
				this.#head = 0;
			}
			return Promise.resolve({ value, done: false });
		}
		if (this.#error) {
			const { value } = this.#error;
			this.#error = null;
			return Promise.reject(value);
		}
		if (this.#ended) return Promise.resolve({ value: undefined, done: true });
		return new Promise((resolve, reject) => {
			this.#waiting = { resolve: resolve as (result: IteratorResult<T>) => void, reject };
		});
	}
}
