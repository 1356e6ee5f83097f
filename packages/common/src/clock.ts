// SPDX-License-Identifier: Apache-2.0

/** Time as a seam: tests pass a fake. */
export interface Clock {
	/** Milliseconds that never jump; compare only with itself. */
	monotonicMs(): number;
	/** Milliseconds since the Unix epoch. */
	wallMs(): number;
}

export const systemClock: Clock = {
	monotonicMs: () => performance.now(),
	wallMs: () => Date.now(),
};
