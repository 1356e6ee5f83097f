// SPDX-License-Identifier: Apache-2.0

export interface StallLimits {
	/** Silence of an engine that has begun to answer somebody, ms. Default 60 000. */
	readonly tokenMs?: number | undefined;
	/** Silence of an engine that only computes prompts, or waits for their KV blocks, ms. Default 600 000. */
	readonly firstTokenMs?: number | undefined;
}

/**
 * Whether an engine gets anywhere: one that hangs still says that it is well (TensorRT-LLM's health check does, Dynamo
 * issues 13675 and 4327), so it is judged by its tokens.
 */
export class Progress {
	readonly #tokenMs: number;
	readonly #firstTokenMs: number;
	readonly #nowMs: () => number;
	#waiting = 0;
	#answering = 0;
	#lastMs = 0;

	constructor({ tokenMs = 60_000, firstTokenMs = 600_000 }: StallLimits, nowMs: () => number) {
		this.#tokenMs = tokenMs;
		this.#firstTokenMs = firstTokenMs;
		this.#nowMs = nowMs;
	}

	/** Requests that the engine has. */
	get running(): number {
		return this.#waiting + this.#answering;
	}

	/** A request has been given to the engine. Returns what to call at each of its outputs, and at its end. */
	begin(): { moved(): void; ended(): void } {
		if (this.running === 0) this.#lastMs = this.#nowMs();
		this.#waiting++;
		let answering = false;
		return {
			moved: () => {
				this.#lastMs = this.#nowMs();
				if (answering) return;
				answering = true;
				this.#waiting--;
				this.#answering++;
			},
			ended: () => {
				this.#lastMs = this.#nowMs();
				if (answering) this.#answering--;
				else this.#waiting--;
			},
		};
	}

	/** How long it has been stuck; null when it is not. */
	get stalledMs(): number | null {
		if (this.running === 0) return null;
		const sinceMs = this.#nowMs() - this.#lastMs;
		return sinceMs >= (this.#answering > 0 ? this.#tokenMs : this.#firstTokenMs) ? sinceMs : null;
	}
}
