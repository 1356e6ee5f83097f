// SPDX-License-Identifier: Apache-2.0

export interface Spread {
	readonly median: number;
	readonly min: number;
	readonly max: number;
	readonly runs: number;
}

/** Median (mean of the middle two for even counts), smallest and largest. Throws RangeError on an empty list. */
export function spread(values: readonly number[]): Spread {
	if (values.length === 0) throw new RangeError("no values");
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
	return { median, min: sorted[0]!, max: sorted.at(-1)!, runs: sorted.length };
}

/** The smallest value that at least a share `q` (0..1) of all values does not exceed. Throws RangeError on an empty list. */
export function quantile(values: readonly number[], q: number): number {
	if (values.length === 0) throw new RangeError("no values");
	const sorted = Float64Array.from(values).sort();
	return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}
