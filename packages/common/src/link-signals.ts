// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from "node:events";

/**
 * A signal that aborts with the first of `signals`. Call `unlink` when the work is over: unlike `AbortSignal.any` this
 * leaves nothing behind on a long-lived signal.
 */
export function linkSignals(...signals: readonly AbortSignal[]): {
	readonly signal: AbortSignal;
	unlink(): void;
} {
	const controller = new AbortController();
	// Many requests under one signal are no leak: Node would warn of the eleventh.
	setMaxListeners(0, controller.signal, ...signals);
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
