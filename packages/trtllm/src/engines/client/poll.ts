// SPDX-License-Identifier: Apache-2.0

/**
 * Calls `look` now and again `intervalMs` after it has ended, until the way out is taken. `look` must not reject.
 * @returns the first look, and the way out
 */
export function poll(
	intervalMs: number,
	look: () => Promise<void>,
): { readonly first: Promise<void>; stop(): void } {
	let timer: NodeJS.Timeout | undefined;
	let isStopped = false;
	const round = async (): Promise<void> => {
		await look();
		if (!isStopped) timer = setTimeout(() => void round(), intervalMs).unref();
	};
	return {
		first: round(),
		stop() {
			isStopped = true;
			clearTimeout(timer);
		},
	};
}
