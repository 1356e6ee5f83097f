// SPDX-License-Identifier: Apache-2.0
import type { AdmissionMeter } from "./admission-metrics.js";

/** Requests that run, and those that wait for their turn; beyond both, a server says that it is overloaded. */
export class Admission {
	readonly maxRunning: number;
	readonly maxWaiting: number;
	/** Hears of requests that do not begin at once. */
	meter: AdmissionMeter | null = null;
	readonly #waiting = new Set<() => void>();
	#running = 0;

	constructor(maxRunning: number, maxWaiting: number) {
		this.maxRunning = maxRunning;
		this.maxWaiting = maxWaiting;
	}

	get running(): number {
		return this.#running;
	}

	get waiting(): number {
		return this.#waiting.size;
	}

	get isFull(): boolean {
		return this.#running >= this.maxRunning && this.#waiting.size >= this.maxWaiting;
	}

	/** Whether one more must be told that this server is overloaded; counts it then. */
	refuses(): boolean {
		if (this.isFull) this.meter?.refused();
		return this.isFull;
	}

	/** Resolves with true when it is the caller's turn, who must call `leave` afterwards; with false when `signal` aborted before. */
	async enter(signal: AbortSignal): Promise<boolean> {
		if (signal.aborted) return false;
		if (this.#running < this.maxRunning) {
			this.#running++;
			return true;
		}
		const began = performance.now();
		return new Promise((resolve) => {
			const aborted = () => {
				this.#waiting.delete(begin);
				resolve(false);
			};
			const begin = () => {
				signal.removeEventListener("abort", aborted);
				this.meter?.waited(performance.now() - began);
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
