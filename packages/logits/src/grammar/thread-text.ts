// SPDX-License-Identifier: Apache-2.0
import type { NextTokens } from "./compiled-grammar.js";
import type { Guide } from "./guide.js";
import type { GuidedText } from "./guided-text.js";

/** What a text asks of the thread that knows its grammar. */
export interface TextOwner {
	advance(text: ThreadText, tokenId: number): void;
	close(text: ThreadText): void;
}

/** One text, on this side of the thread. It keeps its tokens, so that another thread can take it over. */
export class ThreadText implements GuidedText {
	readonly id: number;
	readonly guide: Guide;
	readonly tokens: number[];
	/** Number of the thread that has it open; 0: none yet. */
	thread = 0;
	closed = false;
	readonly #owner: TextOwner;
	#next: NextTokens | null = null;
	#failure: { readonly error: unknown } | null = null;
	readonly #waiting: (() => void)[] = [];

	constructor(owner: TextOwner, id: number, guide: Guide, tokens: ArrayLike<number>) {
		this.#owner = owner;
		this.id = id;
		this.guide = guide;
		this.tokens = Array.from(tokens);
	}

	next(): NextTokens | null {
		if (this.#failure) throw this.#failure.error;
		return this.#next;
	}

	async ready(): Promise<void> {
		if (this.#next || this.#failure || this.closed) return;
		await new Promise<void>((resolve) => this.#waiting.push(resolve));
	}

	accept(tokenId: number): void {
		if (this.#failure || this.closed) return;
		this.tokens.push(tokenId);
		this.#next = null;
		this.#owner.advance(this, tokenId);
	}

	close(): void {
		if (this.closed) return;
		this.closed = true;
		this.#owner.close(this);
		this.#wake();
	}

	succeed(next: NextTokens): void {
		this.#next = next;
		this.#wake();
	}

	fail(error: unknown): void {
		this.#failure ??= { error };
		this.#wake();
	}

	#wake(): void {
		for (const resolve of this.#waiting.splice(0)) resolve();
	}
}
