// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput } from "@dyn/protocols";

/**
 * Outputs of one request on their way to its consumer. A consumer that falls behind finds the deltas of a choice merged
 * into one, so what waits is bounded by the tokens themselves.
 */
export class DeltaQueue implements AsyncIterable<EngineOutput> {
	readonly #pending = new Map<number, EngineOutput>();
	#wake: (() => void) | null = null;
	#ended = false;
	#error: unknown = null;
	#failed = false;
	readonly #onLeave: () => void;

	/** @param onLeave called when the consumer leaves before the end */
	constructor(onLeave: () => void) {
		this.#onLeave = onLeave;
	}

	push(output: EngineOutput): void {
		if (this.#ended) return;
		const waiting = this.#pending.get(output.index);
		this.#pending.set(output.index, waiting ? merge(waiting, output) : output);
		this.#notify();
	}

	end(): void {
		this.#ended = true;
		this.#notify();
	}

	/** Ends with `error`, after what is pending. */
	fail(error: unknown): void {
		if (this.#ended) return;
		this.#error = error;
		this.#failed = true;
		this.end();
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<EngineOutput, void> {
		try {
			for (;;) {
				for (const [index, output] of this.#pending) {
					this.#pending.delete(index);
					yield output;
				}
				if (this.#pending.size > 0) continue;
				if (this.#failed) throw this.#error;
				if (this.#ended) return;
				await new Promise<void>((resolve) => {
					this.#wake = resolve;
				});
			}
		} finally {
			if (!this.#ended) {
				this.#ended = true;
				this.#onLeave();
			}
		}
	}

	#notify(): void {
		this.#wake?.();
		this.#wake = null;
	}
}

function merge(first: EngineOutput, second: EngineOutput): EngineOutput {
	return {
		...second,
		tokenIds: [...first.tokenIds, ...second.tokenIds],
		logprobs:
			second.logprobs && first.logprobs
				? [...first.logprobs, ...second.logprobs]
				: (second.logprobs ?? first.logprobs),
	};
}
