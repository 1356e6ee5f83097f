// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, TokenLogprobs } from "@dyn/protocols";

/** Deltas of one choice, merged while nobody reads. */
interface PendingOutput extends EngineOutput {
	readonly tokenIds: number[];
	readonly logprobs: TokenLogprobs[] | null;
}

/**
 * Outputs of one request on their way to its one consumer. A consumer that falls behind finds the deltas of a choice
 * merged into one, so what waits is bounded by the tokens themselves.
 */
export class DeltaQueue implements AsyncIterator<EngineOutput, undefined> {
	/** By choice, the one that waits longest first. */
	readonly #pending = new Map<number, PendingOutput>();
	/** Takes the next output, or null for "look again": the end or an error. */
	#waiting: (() => void)[] = [];
	#ended = false;
	#error: { readonly value: unknown } | null = null;
	readonly #onLeave: () => void;

	/** @param onLeave called once when the consumer leaves before the end */
	constructor(onLeave: () => void) {
		this.#onLeave = onLeave;
	}

	push(output: EngineOutput): void {
		if (this.#ended) return;
		const pending = this.#pending.get(output.index);
		if (!pending) {
			this.#pending.set(output.index, {
				...output,
				tokenIds: [...output.tokenIds],
				logprobs: output.logprobs && [...output.logprobs],
			});
		} else {
			for (const id of output.tokenIds) pending.tokenIds.push(id);
			for (const entry of output.logprobs ?? []) pending.logprobs?.push(entry);
			const { finishReason, stopTokenId, usage } = output;
			this.#pending.set(output.index, { ...pending, finishReason, stopTokenId, usage });
		}
		this.#notify();
	}

	end(): void {
		this.#ended = true;
		this.#notify();
	}

	/** Ends with `error`, after what is pending. */
	fail(error: unknown): void {
		if (this.#ended) return;
		this.#error = { value: error };
		this.end();
	}

	async next(): Promise<IteratorResult<EngineOutput, undefined>> {
		for (;;) {
			const oldest = this.#pending.entries().next();
			if (!oldest.done) {
				const [index, value] = oldest.value;
				this.#pending.delete(index);
				return { value, done: false };
			}
			if (this.#error) {
				const { value } = this.#error;
				this.#error = null;
				throw value;
			}
			if (this.#ended) return { value: undefined, done: true };
			await new Promise<void>((resolve) => this.#waiting.push(resolve));
		}
	}

	/** The consumer leaves: at once, also while a `next` waits, which then says that it is done. */
	async return(): Promise<IteratorReturnResult<undefined>> {
		this.#pending.clear();
		this.#error = null;
		if (!this.#ended) {
			this.end();
			this.#onLeave();
		}
		return { value: undefined, done: true };
	}

	#notify(): void {
		for (const resolve of this.#waiting.splice(0)) resolve();
	}
}
