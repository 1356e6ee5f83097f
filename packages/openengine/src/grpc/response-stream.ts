// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, cancellationError, DynError } from "@dyn/common";
import { type CallOptions, type CallSink, GrpcCall } from "./call.js";
import type { Channel } from "./channel.js";
import { fromGrpcStatus, GrpcStatus } from "./status.js";

/** Messages read ahead of the consumer before the server is held up, and those left when it may go on. */
const HIGH_WATER = 64;
const LOW_WATER = 16;

export interface ResponseStreamOptions<T> {
	readonly deserialize: (bytes: Buffer) => T;
	/** The call, for messages. */
	readonly what: string;
	/** Aborting it cancels the call. */
	readonly signal?: AbortSignal | undefined;
}

/** The messages of a server's stream; leaving the loop cancels the call. */
export class ResponseStream<T> implements CallSink, AsyncIterableIterator<T> {
	readonly #options: ResponseStreamOptions<T>;
	readonly #queue: AsyncQueue<T>;
	readonly #items: AsyncIterator<T>;
	readonly #onAbort: () => void;
	#call: GrpcCall | null = null;

	/** @param call null for one that is cancelled already */
	constructor(options: ResponseStreamOptions<T>) {
		this.#options = options;
		this.#queue = new AsyncQueue<T>(() => this.#call?.cancel());
		this.#items = this.#queue[Symbol.asyncIterator]();
		this.#onAbort = () => {
			this.#queue.fail(cancellationError(options.signal!));
			this.#call?.cancel();
		};
	}

	/** @param prepare may throw, which is how the stream ends then */
	begin(channel: Channel, prepare: () => CallOptions): this {
		const { signal } = this.#options;
		if (signal?.aborted) this.#onAbort();
		else
			try {
				this.#call = new GrpcCall(channel, prepare(), this);
				signal?.addEventListener("abort", this.#onAbort, { once: true });
			} catch (error) {
				this.#queue.fail(DynError.from(error));
			}
		return this;
	}

	get isFull(): boolean {
		return this.#queue.size >= HIGH_WATER;
	}

	onMessage(bytes: Buffer): void {
		this.#queue.push(this.#options.deserialize(bytes));
	}

	onEnd(status: number, message: string): void {
		this.#forget();
		if (status === GrpcStatus.OK) this.#queue.end();
		else this.#queue.fail(fromGrpcStatus(status, message, this.#options.what));
	}

	next(): Promise<IteratorResult<T>> {
		if (this.#queue.size <= LOW_WATER) this.#call?.resume();
		return this.#items.next();
	}

	return(): Promise<IteratorResult<T>> {
		this.#forget();
		return this.#items.return!();
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	#forget(): void {
		this.#options.signal?.removeEventListener("abort", this.#onAbort);
	}
}
