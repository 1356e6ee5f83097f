// SPDX-License-Identifier: Apache-2.0

/**
 * A signal that aborts with the first of `signals`. Call `unlink` when the work is over: unlike `AbortSignal.any` this
 * leaves nothing behind on a long-lived signal.
 */
export function linkSignals(...signals: readonly AbortSignal[]): {
	readonly signal: AbortSignal;
	unlink(): void;
} {
	const controller = new AbortController();
	const listeners = signals.map((signal) => {
		const abort = () => controller.abort(signal.reason);
		if (signal.aborted) abort();
		else signal.addEventListener("abort", abort, { once: true });
		return () => signal.removeEventListener("abort", abort);
	});
	return {
		signal: controller.signal,
		unlink: () => {
			for (const remove of listeners) remove();
		},
	};
}
