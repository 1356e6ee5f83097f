// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from "node:events";

/**
 * Who hears of a signal through one listener: to remove one of a signal's listeners it searches them, so that ten thousand
 * requests under one signal, each with its own, took 34 us each to end.
 */
const audiences = new WeakMap<AbortSignal, Set<() => void>>();

function tellAudience(this: AbortSignal): void {
	for (const heard of audiences.get(this) ?? []) heard();
}

/** @returns what ends it */
function listen(signal: AbortSignal, heard: () => void): () => void {
	let audience = audiences.get(signal);
	if (!audience) {
		audience = new Set();
		audiences.set(signal, audience);
		signal.addEventListener("abort", tellAudience, { once: true });
	}
	audience.add(heard);
	return () => audience.delete(heard);
}

/**
 * A signal that aborts with the first of `signals`. Call `unlink` when the work is over: unlike `AbortSignal.any` this
 * leaves nothing of it behind on a long-lived signal.
 */
export function linkSignals(...signals: readonly AbortSignal[]): {
	readonly signal: AbortSignal;
	unlink(): void;
} {
	const controller = new AbortController();
	// Many requests under one signal are no leak: Node would warn of the eleventh.
	setMaxListeners(0, controller.signal, ...signals);
	const ends = signals.map((signal) => {
		const abort = () => controller.abort(signal.reason);
		if (!signal.aborted) return listen(signal, abort);
		abort();
		return () => {};
	});
	return {
		signal: controller.signal,
		unlink: () => {
			for (const end of ends) end();
		},
	};
}
