// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError } from "@dyn/common";
import type { EngineOutput } from "@dyn/protocols";
import { type StallOptions, StallTimer } from "./stall-timer.js";

export interface Patience extends StallOptions {
	/** Asked when the instance is silent for too long: the error to give up with, or null to go on waiting. */
	onStall(silentMs: number): DynError | null;
}

/** One for all: a stack of its own would be a third of what it costs to cancel a request. */
const NOBODY_WAITS = new DynError("CANCELLED", "nobody waits for this answer any more");

/**
 * The outputs of one call of one instance. Does not wait for an instance that does not react: an abort of `signal` and a
 * stall end it at once. The call is aborted behind it and whatever it still sends reaches nobody.
 */
export async function* attempt(
	call: (signal: AbortSignal) => AsyncIterable<unknown>,
	signal: AbortSignal,
	patience: Patience,
): AsyncGenerator<EngineOutput, void> {
	const over = new AbortController();
	const iterator = call(over.signal)[Symbol.asyncIterator]() as AsyncIterator<EngineOutput>;
	let fail: (error: DynError) => void = () => {};
	const stall = new StallTimer(
		patience,
		(silentMs) => patience.onStall(silentMs),
		(error) => fail(error),
	);
	const abort = () => {
		over.abort(signal.reason);
		fail(cancellationError(signal));
	};
	signal.addEventListener("abort", abort);
	let waiting = false;
	let ended = false;
	try {
		for (;;) {
			if (signal.aborted) throw cancellationError(signal);
			waiting = true;
			stall.wait();
			// Not Promise.race with one promise for all items: that would remember every item until the end.
			const next = await new Promise<IteratorResult<EngineOutput>>((resolve, reject) => {
				fail = reject;
				iterator.next().then(resolve, reject);
			});
			waiting = false;
			ended = next.done === true;
			if (next.done) return;
			stall.arrived(next.value.tokenIds.length > 0);
			yield next.value;
		}
	} finally {
		stall.stop();
		signal.removeEventListener("abort", abort);
		if (!ended) over.abort(signal.aborted ? signal.reason : NOBODY_WAITS);
		const left = iterator.return?.();
		if (waiting) left?.catch(() => {});
		else await left;
	}
}
