// SPDX-License-Identifier: Apache-2.0

type Items = Required<Pick<AsyncIterator<unknown, undefined>, "next" | "return">>;

/** Items that are asked for when their reader first wants one: as a generator, without its steps between every two items. */
export class LazyItems implements AsyncIterableIterator<unknown, undefined> {
	readonly #begin: () => Promise<Items>;
	#beginning: Promise<Items> | null = null;
	#items: Items | null = null;

	constructor(begin: () => Promise<Items>) {
		this.#begin = begin;
	}

	next(): Promise<IteratorResult<unknown, undefined>> {
		if (this.#items) return this.#items.next();
		this.#beginning ??= this.#begin();
		return this.#beginning.then((items) => {
			this.#items = items;
			return items.next();
		});
	}

	return(): Promise<IteratorResult<unknown, undefined>> {
		this.#beginning ??= Promise.resolve(NOTHING);
		return this.#beginning.then((items) => items.return(), NOTHING.return);
	}

	[Symbol.asyncIterator](): this {
		return this;
	}
}

const nothing = async () => ({ value: undefined, done: true }) as const;
const NOTHING: Items = { next: nothing, return: nothing };
