// SPDX-License-Identifier: Apache-2.0
import type { DynError } from "@dyn/common";

export interface StallOptions {
	/** Silence before the first token after which an instance counts as frozen, ms. A long prompt takes its time. */
	readonly firstTokenMs: number;
	/** The same between tokens, at most, ms. A stream that was faster so far gets less. */
	readonly stallMs: number;
}

/**
 * Less than this is never called a stall, ms: a prompt that came through another frontend may hold a whole batch up. On
 * two cores a chunk of 512 tokens behind 6500 others takes 3.8 s, but pauses grow up to that chunk by chunk.
 */
const SHORTEST_MS = 3000;
/** A stream stalls when it is silent this many times longer than ever before. */
const TIMES_LONGEST = 10;
/** Longest delay of a timer of Node, ms. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Measures how long the next item of one stream is waited for; costs two looks at the clock per item. */
export class StallTimer {
	readonly #options: StallOptions;
	readonly #onStall: (silentMs: number) => DynError | null;
	readonly #giveUp: (error: DynError) => void;
	/** The longest wait of this stream, its first included: that tells how long the instance's steps are. */
	#longestMs = 0;
	#hasToken = false;
	#since = 0;
	/** When the present wait is too long; infinite while nothing is waited for. */
	#deadline = Number.POSITIVE_INFINITY;
	#firesAt = Number.POSITIVE_INFINITY;
	#timer: NodeJS.Timeout | undefined;

	/**
	 * @param onStall hears of a stall; null: go on waiting, and ask again later
	 * @param giveUp gets the error that `onStall` returned
	 */
	constructor(
		options: StallOptions,
		onStall: (silentMs: number) => DynError | null,
		giveUp: (error: DynError) => void,
	) {
		this.#options = options;
		this.#onStall = onStall;
		this.#giveUp = giveUp;
	}

	/** The next item is waited for from now on. */
	wait(): void {
		this.#since = performance.now();
		this.#deadline = this.#since + this.#limitMs();
		// Deadlines mostly move ahead: the timer that runs finds the new one when it fires.
		if (this.#firesAt > this.#deadline) this.#arm(this.#since);
	}

	/** It came. */
	arrived(hasTokens: boolean): void {
		this.#longestMs = Math.max(this.#longestMs, performance.now() - this.#since);
		this.#hasToken ||= hasTokens;
		this.#deadline = Number.POSITIVE_INFINITY;
	}

	stop(): void {
		clearTimeout(this.#timer);
		this.#deadline = Number.POSITIVE_INFINITY;
	}

	#limitMs(): number {
		const { firstTokenMs, stallMs } = this.#options;
		if (!this.#hasToken) return firstTokenMs;
		return Math.min(stallMs, Math.max(SHORTEST_MS, TIMES_LONGEST * this.#longestMs));
	}

	#arm(now: number): void {
		clearTimeout(this.#timer);
		const delay = Math.min(Math.max(1, Math.ceil(this.#deadline - now)), LONGEST_DELAY_MS);
		this.#firesAt = now + delay;
		this.#timer = setTimeout(() => this.#fire(), delay).unref();
	}

	#fire(): void {
		this.#firesAt = Number.POSITIVE_INFINITY;
		if (this.#deadline === Number.POSITIVE_INFINITY) return;
		const now = performance.now();
		if (now >= this.#deadline) {
			const error = this.#onStall(now - this.#since);
			if (error) {
				this.#giveUp(error);
				return;
			}
			this.#deadline = now + (this.#hasToken ? this.#options.stallMs : this.#options.firstTokenMs);
		}
		this.#arm(now);
	}
}
