// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError } from "@dyn/common";
import type { HandlerMiddleware } from "./handler.js";

/**
 * At most `limit` requests at the engine; up to `queueLimit` wait for their turn and the rest are refused, so that a
 * frontend can ask elsewhere. Canaries do not count.
 * @param queueLimit default 16 (Dynamo: DYN_DYNAMO_REQUEST_QUEUE_LIMIT)
 */
export function limitRequests(limit: number, queueLimit = 16): HandlerMiddleware {
	let running = 0;
	/** Wakes who waits, first come first served. */
	const queue = new Set<() => void>();

	const turn = async (signal: AbortSignal): Promise<void> => {
		if (running < limit) {
			running++;
			return;
		}
		if (queue.size >= queueLimit)
			throw new DynError(
				"OVERLOADED",
				`the worker has its ${limit} requests and ${queue.size} that wait; ask another one, or raise --engine-request-limit`,
			);
		await new Promise<void>((resolve, reject) => {
			const wake = () => {
				signal.removeEventListener("abort", leave);
				resolve();
			};
			const leave = () => {
				queue.delete(wake);
				reject(cancellationError(signal));
			};
			queue.add(wake);
			if (signal.aborted) leave();
			else signal.addEventListener("abort", leave, { once: true });
		});
	};
	/** The place goes from one to the next. */
	const done = (): void => {
		const [next] = queue;
		if (!next) {
			running--;
			return;
		}
		queue.delete(next);
		next();
	};

	return (next) => ({
		name: next.name,
		async *generate(request, context) {
			if (request.healthCheck) return yield* next.generate(request, context);
			await turn(context.signal);
			try {
				yield* next.generate(request, context);
			} finally {
				done();
			}
		},
	});
}
