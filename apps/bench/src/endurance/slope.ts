// SPDX-License-Identifier: Apache-2.0
import { spread } from "../statistics.js";

export interface Sample {
	readonly ms: number;
	readonly value: number;
}

/** The smallest sample of each window of `widthMs`: what stays when garbage and requests under way come and go. */
export function minima(samples: readonly Sample[], widthMs: number): Sample[] {
	const lowest = new Map<number, Sample>();
	for (const sample of samples) {
		const window = Math.floor((sample.ms - samples[0]!.ms) / widthMs);
		const best = lowest.get(window);
		if (!best || sample.value < best.value) lowest.set(window, sample);
	}
	return [...lowest.values()];
}

/** Median of the slopes between all pairs (Theil and Sen), value per ms; a few outliers do not move it. 0 for less than two samples. */
export function slope(samples: readonly Sample[]): number {
	const slopes = samples.flatMap((a, index) =>
		samples.slice(index + 1).map((b) => (b.value - a.value) / (b.ms - a.ms)),
	);
	return slopes.length === 0 ? 0 : spread(slopes).median;
}
