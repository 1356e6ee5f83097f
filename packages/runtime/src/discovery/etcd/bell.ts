// SPDX-License-Identifier: Apache-2.0

/** What one loop waits for: until it is rung, or some time at most. A ring that nobody waits for is not kept. */
export class Bell {
	#onRing: (() => void) | null = null;

	ring(): void {
		this.#onRing?.();
	}

	/** @param holdsProcess whether the process stays for the end of this wait, as it would for an open connection */
	async wait(ms: number = Number.POSITIVE_INFINITY, holdsProcess = false): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		await new Promise<void>((resolve) => {
			this.#onRing = resolve;
			if (ms === Number.POSITIVE_INFINITY) return;
			timer = setTimeout(resolve, ms);
			if (!holdsProcess) timer.unref();
		});
		clearTimeout(timer);
		this.#onRing = null;
	}
}

/** Pause before try `failures + 1`, ms: 100 doubling to 1000, less up to half, so that clients do not come back all at once. */
export function backoffMs(failures: number): number {
	return Math.min(1000, 100 * 2 ** failures) * (1 - Math.random() / 2);
}
