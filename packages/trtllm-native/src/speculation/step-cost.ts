// SPDX-License-Identifier: Apache-2.0

/** Steps after which an observation counts a third. Long, for machines slow down and speed up, but rows keep their share. */
const MEMORY_STEPS = 500;
/**
 * Share of the evidence that says that base, rows and attention take equal parts of the time. It decides where the
 * observed steps are too much alike to tell.
 */
const PRIOR = 0.002;
/** Steps after which the fit is made anew: one changes it little, and it takes as long as looking tokens up. */
const FIT_STEPS = 8;
const FEATURES = 3;

/** A sequence's part of a step: `rows` rows, of which the first attends to `position` positions before it. */
export interface TimedShare {
	readonly position: number;
	readonly rows: number;
}

/**
 * How long a step of a backend takes: a base, and more for each row and for each position that a row attends to. Fitted
 * to the steps that the backend runs anyway, by least squares of the relative error, the newest steps counting most. A
 * step that something else on the machine held up counts little, being long.
 */
export class StepCost {
	/** Sums over all observations of products of features, and of features, each divided by the time. */
	readonly #products = new Float64Array(FEATURES * FEATURES);
	readonly #sums = new Float64Array(FEATURES);
	/** ms of base, row and position. */
	#fit: readonly number[] = [0, 0, 0];
	/** Observations since the fit; the first one is fitted at once. */
	#unfitted = FIT_STEPS - 1;

	observe(shares: readonly TimedShare[], elapsedMs: number): void {
		if (!(elapsedMs > 0)) return;
		const { rows, attended } = workOf(shares);
		const features = [1 / elapsedMs, rows / elapsedMs, attended / elapsedMs];
		const keep = 1 - 1 / MEMORY_STEPS;
		for (let i = 0; i < FEATURES; i++) {
			this.#sums[i] = this.#sums[i]! * keep + features[i]!;
			for (let j = 0; j < FEATURES; j++) {
				const at = i * FEATURES + j;
				this.#products[at] = this.#products[at]! * keep + features[i]! * features[j]!;
			}
		}
		this.#unfitted++;
	}

	/** Expected time of a step, ms; 0 as long as nothing was observed. */
	stepMs(shares: readonly TimedShare[]): number {
		const [base, row, position] = this.#coefficients();
		const { rows, attended } = workOf(shares);
		return base! + rows * row! + attended * position!;
	}

	/** What one row more at `position` adds to a step, ms; 0 as long as nothing was observed. */
	rowMs(position: number): number {
		const [, row, attended] = this.#coefficients();
		return row! + (position + 1) * attended!;
	}

	/** What comes out below zero is left out, and the others are fitted again. */
	#coefficients(): readonly number[] {
		if (this.#unfitted < FIT_STEPS) return this.#fit;
		this.#unfitted = 0;
		const square = (i: number) => this.#products[i * FEATURES + i]!;
		const fit = [0, 0, 0];
		let used = [...fit.keys()].filter((i) => square(i) > 0);
		for (;;) {
			const solution = solve(
				used.map((i) => [
					...used.map((j) => this.#products[i * FEATURES + j]! * (i === j ? 1 + PRIOR : 1)),
					this.#sums[i]!,
				]),
			);
			const weights = used.map((i, k) => solution[k]! * Math.sqrt(square(i)));
			const least = Math.min(...weights, 0);
			if (least === 0) {
				for (const [k, i] of used.entries()) fit[i] = solution[k]!;
				this.#fit = fit;
				return fit;
			}
			used = used.filter((_, k) => weights[k]! > least);
		}
	}
}

function workOf(shares: readonly TimedShare[]): { readonly rows: number; readonly attended: number } {
	const work = { rows: 0, attended: 0 };
	for (const { position, rows } of shares) {
		work.rows += rows;
		work.attended += rows * position + (rows * (rows + 1)) / 2;
	}
	return work;
}

/** Solves linear equations, the right side being the last column, of a positive definite matrix: no pivot is zero. */
function solve(equations: readonly number[][]): number[] {
	const count = equations.length;
	for (let pivot = 0; pivot < count; pivot++)
		for (let row = pivot + 1; row < count; row++) {
			const factor = equations[row]![pivot]! / equations[pivot]![pivot]!;
			for (let column = pivot; column <= count; column++)
				equations[row]![column]! -= factor * equations[pivot]![column]!;
		}
	const solution = new Array<number>(count).fill(0);
	for (let row = count - 1; row >= 0; row--) {
		let rest = equations[row]![count]!;
		for (let column = row + 1; column < count; column++) rest -= equations[row]![column]! * solution[column]!;
		solution[row] = rest / equations[row]![row]!;
	}
	return solution;
}
