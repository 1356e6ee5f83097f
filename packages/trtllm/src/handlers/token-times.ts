// SPDX-License-Identifier: Apache-2.0
import type { SpanAttributes } from "@dyn/common";

/** When the tokens of one request came. Gaps are per choice; tokens that came together share the gap before them. */
export class TokenTimes {
	readonly #began: number;
	#firstMs: number | null = null;
	#tokens = 0;
	/** Per choice, point of its last tokens, ms. */
	readonly #last: number[] = [];
	/** ms per token, one entry per output behind a choice's first. */
	readonly #gaps: number[] = [];
	#gapSum = 0;
	#gapTokens = 0;

	constructor(nowMs: number) {
		this.#began = nowMs;
	}

	/** `count` tokens of choice `index` came at `nowMs`. */
	add(index: number, count: number, nowMs: number): void {
		if (count === 0) return;
		this.#tokens += count;
		this.#firstMs ??= nowMs - this.#began;
		const last = this.#last[index];
		this.#last[index] = nowMs;
		if (last === undefined) return;
		this.#gaps.push((nowMs - last) / count);
		this.#gapSum += nowMs - last;
		this.#gapTokens += count;
	}

	/** Under Dynamo's names, ms; what there was too little for is absent. */
	get attributes(): SpanAttributes {
		const sorted = this.#gaps.toSorted((a, b) => a - b);
		/** Nearest rank. */
		const percentile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1];
		return {
			output_tokens: this.#tokens,
			ttft_ms: this.#firstMs,
			avg_itl_ms: this.#gapTokens === 0 ? null : this.#gapSum / this.#gapTokens,
			itl_p50_ms: percentile(0.5),
			itl_p99_ms: percentile(0.99),
			itl_max_ms: sorted.at(-1),
		};
	}
}
