// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, cancellationError } from "@dyn/common";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { fromGrpcStatus } from "./status.js";

/** Messages read ahead of the consumer before the server is held up, and those left when it may go on. */
const HIGH_WATER = 64;
const LOW_WATER = 16;

/** The messages of a server's stream; leaving the loop or aborting `signal` cancels the call. */
export function iterateCall<T>(
	call: ClientReadableStream<T>,
	what: string,
	signal?: AbortSignal,
): AsyncIterableIterator<T> {
	const queue = new AsyncQueue<T>(() => call.cancel());
	const onAbort = () => {
		queue.fail(cancellationError(signal!));
		call.cancel();
	};
	if (signal?.aborted) onAbort();
	else signal?.addEventListener("abort", onAbort, { once: true });
	const forget = () => signal?.removeEventListener("abort", onAbort);
	call.on("data", (message: T) => {
		queue.push(message);
		if (queue.size >= HIGH_WATER) call.pause();
	});
	call.on("end", () => {
		forget();
		queue.end();
	});
	call.on("error", (error: ServiceError) => {
		forget();
		queue.fail(fromGrpcStatus(error.code, error.details ?? error.message, what));
	});
	const items = queue[Symbol.asyncIterator]();
	const iterator: AsyncIterableIterator<T> = {
		next() {
			if (queue.size <= LOW_WATER && call.isPaused()) call.resume();
			return items.next();
		},
		return() {
			forget();
			return items.return!() as Promise<IteratorResult<T>>;
		},
		[Symbol.asyncIterator]: () => iterator,
	};
	return iterator;
}
