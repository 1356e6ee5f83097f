// SPDX-License-Identifier: Apache-2.0

/** What it is to serve one answer, for who counts and traces it. */
export interface AnswerService {
	/** The handler's items. */
	handle(): AsyncIterable<unknown>;
	/** The first item is about to be passed on. */
	onFirst(): void;
	/** Nothing of the handler runs any more: it had said all, its reader left before, or it failed. Called once. */
	onEnd(end: "whole" | "left" | "failed", error?: unknown): void;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * The items of a handler as they are. No generator: one between a handler and its reader costs every item three turns of
 * the microtask queue.
 */
export class ServedAnswer implements AsyncIterableIterator<unknown> {
	readonly #begin: () => AnswerService;
	#service: AnswerService | null = null;
	#items: AsyncIterator<unknown> | null = null;
	#hasItem = false;
	#isOver = false;
	readonly #pass = (result: IteratorResult<unknown>): IteratorResult<unknown> => {
		if (result.done) this.#end("whole");
		else if (!this.#hasItem) {
			this.#hasItem = true;
			this.#service!.onFirst();
		}
		return result;
	};
	readonly #fail = (error: unknown): never => {
		this.#end("failed", error);
		throw error;
	};

	/** @param begin called with the first `next`, whose error is what it throws */
	constructor(begin: () => AnswerService) {
		this.#begin = begin;
	}

	next(): Promise<IteratorResult<unknown>> {
		if (this.#items && !this.#isOver) return this.#items.next().then(this.#pass, this.#fail);
		return this.#first();
	}

	async return(): Promise<IteratorResult<unknown>> {
		try {
			if (!this.#isOver) await this.#items?.return?.();
		} finally {
			this.#end("left");
		}
		return DONE;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	async #first(): Promise<IteratorResult<unknown>> {
		if (this.#isOver) return DONE;
		try {
			this.#service = this.#begin();
			this.#items = this.#service.handle()[Symbol.asyncIterator]();
		} catch (error) {
			return this.#fail(error);
		}
		return this.next();
	}

	#end(end: "whole" | "left" | "failed", error?: unknown): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#service?.onEnd(end, error);
	}
}
