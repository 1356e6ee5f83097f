// SPDX-License-Identifier: Apache-2.0

/** Requests that run, and those that wait for their turn; beyond both, a server says that it is overloaded. */
export class Admission {
	readonly #maxRunning: number;
	readonly #maxWaiting: number;
	readonly #waiting = new Set<() => void>();
	#running = 0;

	constructor(maxRunning: number, maxWaiting: number) {
		this.#maxRunning = maxRunning;
		this.#maxWaiting = maxWaiting;
	}

	get waiting(): number {
		return this.#waiting.size;
	}

	get isFull(): boolean {
		return this.#running >= this.#maxRunning && this.#waiting.size >= this.#maxWaiting;
	}

	/** Resolves with true when it is the caller's turn, who must call `leave` afterwards; with false when `signal` aborted before. */
	async enter(signal: AbortSignal): Promise<boolean> {
		if (signal.aborted) return false;
		if (this.#running < this.#maxRunning) {
			this.#running++;
			return true;
		}
		return new Promise((resolve) => {
			const aborted = () => {
				this.#waiting.delete(begin);
				resolve(false);
			};
			const begin = () => {
				signal.removeEventListener("abort", aborted);
				resolve(true);
			};
			signal.addEventListener("abort", aborted, { once: true });
			this.#waiting.add(begin);
		});
	}

	leave(): void {
		const next = this.#waiting.values().next();
		if (next.done) {
			this.#running--;
			return;
		}
		this.#waiting.delete(next.value); // its slot goes on to the next
		next.value();
	}
}
