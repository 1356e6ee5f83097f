// SPDX-License-Identifier: Apache-2.0

/**
 * How many times what it takes a guess must be expected to gain. Expectations err, rows come in pairs for the kernels, and a
 * token gains nothing in a batch that waits for its longest answer.
 */
const LEAST_GAIN = 1.1;

export interface GuessCandidate {
	/** How likely its guesses are right, each if those before it are, 0..1; no more than it may have. */
	readonly chances: readonly number[];
	/** What each of them adds to the time of the step, ms. */
	readonly guessMs: number;
}

/**
 * How many guesses of each sequence are worth their time: those that gain most for it first, as long as the step makes
 * tokens faster with the guess than without. Where a step takes long whatever its rows, there is time for unlikely guesses;
 * where each row takes its time, as in a large batch, only near-certain ones pay.
 * @param step what it would be without guesses
 * @param maxRows most guesses of all together
 */
export function guessLengths(
	candidates: readonly GuessCandidate[],
	step: { readonly ms: number; readonly tokens: number },
	maxRows: number,
): number[] {
	const lengths = candidates.map(() => 0);
	/** That all guesses up to the next one are right. */
	const chances = candidates.map(({ chances: [first = 0] }) => first);
	let { ms, tokens } = step;
	for (let rows = 0; rows < maxRows; rows++) {
		let best = -1;
		let most = 0;
		for (let i = 0; i < candidates.length; i++) {
			const gain = chances[i]! * ms - LEAST_GAIN * candidates[i]!.guessMs * tokens;
			if (gain <= most) continue;
			best = i;
			most = gain;
		}
		if (best === -1) break;
		tokens += chances[best]!;
		ms += candidates[best]!.guessMs;
		lengths[best]!++;
		chances[best]! *= candidates[best]!.chances[lengths[best]!] ?? 0;
	}
	return lengths;
}
