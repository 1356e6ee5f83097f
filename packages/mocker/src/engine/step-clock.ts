// SPDX-License-Identifier: Apache-2.0

/** A stall of the process is made up for by at most this much, ms. */
const MAX_CREDIT_MS = 5;

/**
 * Lets modelled time pass. Timers are late and no finer than a millisecond: what one wait took too much is taken off the
 * next ones, so that many short steps take as long together as they should.
 */
export class StepClock {
	#owedMs = 0;
	#wake: (() => void) | null = null;

	/** Resolves after `ms`, or when `interrupt` is called; at least one turn of the event loop passes. */
	async pass(ms: number): Promise<void> {
		this.#owedMs += ms;
		const began = performance.now();
		let timer: NodeJS.Timeout | undefined;
		await new Promise<void>((resolve) => {
			this.#wake = resolve;
			if (this.#owedMs < 1) setImmediate(resolve);
			else timer = setTimeout(resolve, this.#owedMs);
		});
		clearTimeout(timer);
		this.#wake = null;
		this.#owedMs = Math.max(this.#owedMs - (performance.now() - began), -MAX_CREDIT_MS);
	}

	/** Ends the wait that is on; what was left of it is forgotten. */
	interrupt(): void {
		if (!this.#wake) return;
		this.#owedMs = 0;
		this.#wake();
	}
}
