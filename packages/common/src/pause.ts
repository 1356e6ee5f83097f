// SPDX-License-Identifier: Apache-2.0

/** Resolves after `delayMs` or when `signal` aborts, whichever is first; does not keep the process. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", end);
			resolve();
		};
		const timer = setTimeout(end, delayMs).unref();
		signal.addEventListener("abort", end);
		if (signal.aborted) end();
	});
}
