// SPDX-License-Identifier: Apache-2.0

const FIRST_MS = 100;
const LONGEST_MS = 10_000;

/** Delays in milliseconds that double up to 10 s, each cut by up to half so that a thousand processes do not come at once. */
export class BackOff {
	#failures = 0;

	next(): number {
		const delayMs = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
		if (delayMs < LONGEST_MS) this.#failures++;
		return delayMs * (0.5 + Math.random() / 2);
	}

	reset(): void {
		this.#failures = 0;
	}
}
