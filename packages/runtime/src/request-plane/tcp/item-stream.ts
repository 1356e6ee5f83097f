// SPDX-License-Identifier: Apache-2.0

/** Items that wait before their source is asked to pause. */
const HIGH_WATER = 64;

/** Where the items of a stream come from. */
export interface ItemSource<Raw, Item> {
	/** What the reader gets for what came; called when the reader takes it. What it throws ends the stream. */
	open(raw: Raw): Item;
	/** Many wait: nothing should come until `resume`. */
	pause(): void;
	resume(): void;
	/** The reader leaves before the end. Called once. */
	leave(): void;
}

/**
 * Items of one answer between the connection that brings them and the one reader that takes them. The source is paused
 * while many wait, so a slow reader slows its worker and nothing else.
 */
export class ItemStream<Raw, Item> implements AsyncIterator<Item, undefined> {
	readonly #source: ItemSource<Raw, Item>;
	#items: Raw[] = [];
	#paused = false;
	#end: { readonly error: unknown } | "complete" | null = null;
	#waiting: {
		readonly resolve: (result: IteratorResult<Item, undefined>) => void;
		readonly reject: (error: unknown) => void;
	} | null = null;

	constructor(source: ItemSource<Raw, Item>) {
		this.#source = source;
	}

	get ended(): boolean {
		return this.#end !== null;
	}

	push(item: Raw): void {
		if (this.#end) return;
		if (this.#waiting) {
			const { resolve, reject } = this.#waiting;
			this.#waiting = null;
			this.#give(item, resolve, reject);
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

	next(): Promise<IteratorResult<Item, undefined>> {
		return new Promise((resolve, reject) => {
			if (this.#items.length > 0) {
				this.#give(this.#items.shift()!, resolve, reject);
				if (!this.#paused || this.#items.length >= HIGH_WATER / 2) return;
				this.#paused = false;
				this.#source.resume();
			} else if (this.#end === null) this.#waiting = { resolve, reject };
			else if (this.#end === "complete") resolve({ value: undefined, done: true });
			else {
				const { error } = this.#end;
				this.#end = "complete";
				reject(error);
			}
		});
	}

	/** The reader leaves. */
	async return(): Promise<IteratorResult<Item, undefined>> {
		this.#leave();
		return { value: undefined, done: true };
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	#give(
		raw: Raw,
		resolve: (result: IteratorResult<Item, undefined>) => void,
		reject: (error: unknown) => void,
	): void {
		try {
			resolve({ value: this.#source.open(raw), done: false });
		} catch (error) {
			reject(error);
			this.#leave();
		}
	}

	#leave(): void {
		this.#items = [];
		const isEarly = this.#end === null;
		this.complete();
		this.#end = "complete"; // nor is an error wanted any more
		if (isEarly) this.#source.leave();
	}
}
