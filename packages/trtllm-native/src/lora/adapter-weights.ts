// SPDX-License-Identifier: Apache-2.0

/** The matrices of a layer that an adapter may add to, in the order of native/src/adapter.h. */
export const PROJECTIONS = ["q", "k", "v", "o", "gate", "up", "down"] as const;
export type Projection = (typeof PROJECTIONS)[number];

/** What an adapter adds to one matrix W of a layer: W + b a. */
export interface AdapterPart {
	readonly layer: number;
	readonly projection: Projection;
	readonly rank: number;
	/** rank x inputs, row-major. */
	readonly a: Float32Array;
	/** Output features x rank, row-major, with the adapter's scale in it. */
	readonly b: Float32Array;
}
