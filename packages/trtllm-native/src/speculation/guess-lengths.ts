// SPDX-License-Identifier: Apache-2.0

/**
 * What a step costs before its first row, in rows. Measured with SmolLM2-135M in 4 bits on two cores: 3.4 ms, and 0.65 ms
 * per row and sequence. Larger models read more weights for the same rows: there it is 25 and more, and fewer guesses are
 * made than would pay.
 */
export const STEP_OVERHEAD_ROWS = 5;

export interface GuessCandidate {
	/** How likely a guess of this sequence is right, if those before it are, 0..1. */
	readonly rate: number;
	/** Most guesses. */
	readonly limit: number;
}

/**
 * How many guesses of each sequence are worth a row: the likeliest first, as long as the expected tokens gain more time
 * than the row takes. Alone, a sequence has time for unlikely guesses; in a large batch only near-certain ones pay.
 * @param candidates of the sequences that guess
 * @param sequences that get a token in this step, these included
 * @param maxRows most guesses of all together
 * @param costRatio of the drafter
 */
export function guessLengths(
	candidates: readonly GuessCandidate[],
	sequences: number,
	maxRows: number,
	costRatio: number,
): number[] {
	const lengths = candidates.map(() => 0);
	const chances = candidates.map(({ rate }) => rate);
	const cost = 1 + (costRatio * (STEP_OVERHEAD_ROWS + sequences)) / sequences;
	let time = STEP_OVERHEAD_ROWS + sequences;
	let tokens = sequences;
	for (let rows = 0; rows < maxRows; rows++) {
		let best = -1;
		for (const [i, { limit }] of candidates.entries())
			if (lengths[i]! < limit && (best === -1 || chances[i]! > chances[best]!)) best = i;
		if (best === -1 || chances[best]! * time <= cost * tokens) break;
		tokens += chances[best]!;
		time += cost;
		lengths[best]!++;
		chances[best]! *= candidates[best]!.rate;
	}
	return lengths;
}
