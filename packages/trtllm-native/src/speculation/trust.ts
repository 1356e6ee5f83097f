// SPDX-License-Identifier: Apache-2.0

/** Wrong guesses that a sequence is taken to have had, as many as expected, before anything is known of it. */
const FIRST_WRONG = 1;
/** What is left of what was learnt when a guess more was judged. */
const KEEP = 0.98;

/** How good guesses are for a sequence: how many were wrong, over how many were expected to be. */
export class Trust {
	#wrong = FIRST_WRONG;
	#expected = FIRST_WRONG;

	/** How likely a guess is right of which `doubt` (0..1) says how often such guesses are wrong anywhere. */
	chance(doubt: number): number {
		return Math.max(0, 1 - (doubt * this.#wrong) / this.#expected);
	}

	learn(doubt: number, right: boolean): void {
		this.#wrong = FIRST_WRONG + KEEP * (this.#wrong - FIRST_WRONG) + (right ? 0 : 1);
		this.#expected = FIRST_WRONG + KEEP * (this.#expected - FIRST_WRONG) + doubt;
	}
}
