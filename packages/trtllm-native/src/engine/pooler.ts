// SPDX-License-Identifier: Apache-2.0

/**
 * How the hidden states of an input become one vector: their mean, or the last token's. Models trained for embeddings say
 * which (`1_Pooling/config.json` of sentence-transformers).
 */
export type Pooling = "mean" | "last";

/** Takes the hidden states of one input in the order of its tokens, in chunks of any size; gives the same bits for all of them. */
export class Pooler {
	readonly #pooling: Pooling;
	#sum = new Float64Array();
	#tokens = 0;

	constructor(pooling: Pooling) {
		this.#pooling = pooling;
	}

	/**
	 * @param position of the first row; 0 begins anew, as a sequence does that lost its blocks
	 * @param tokens rows, each of `rows.length / tokens` values
	 */
	add(position: number, tokens: number, rows: Float32Array): void {
		const size = rows.length / tokens;
		if (position === 0 || this.#sum.length !== size) {
			this.#sum = new Float64Array(size);
			this.#tokens = 0;
		}
		if (this.#pooling === "last") {
			this.#sum.set(rows.subarray(rows.length - size));
			this.#tokens = 1;
			return;
		}
		for (let row = 0; row < tokens; row++)
			for (let i = 0; i < size; i++) this.#sum[i]! += rows[row * size + i]!;
		this.#tokens += tokens;
	}

	/** The first `dimensions` values, of length 1. */
	vector(dimensions: number = this.#sum.length): Float32Array {
		const pooled = this.#sum.subarray(0, dimensions).map((value) => value / this.#tokens);
		const length = Math.sqrt(pooled.reduce((sum, value) => sum + value * value, 0));
		return Float32Array.from(pooled, (value) => (length > 0 ? value / length : 0));
	}
}
