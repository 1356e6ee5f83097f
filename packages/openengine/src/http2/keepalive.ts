// SPDX-License-Identifier: Apache-2.0

export interface KeepaliveOptions {
	/** Silence after which the other side is asked for a sign of life, ms. */
	readonly keepaliveTimeMs: number;
	/** Time for that sign, ms. */
	readonly keepaliveTimeoutMs: number;
}

/** Watches whether the other side still says anything. */
export class Keepalive {
	readonly #options: KeepaliveOptions;
	readonly #ask: () => void;
	readonly #onDeath: (silentMs: number) => void;
	#heardMs: number = performance.now();
	#timer: NodeJS.Timeout | null = null;

	/** @param onDeath called at most once */
	constructor(options: KeepaliveOptions, ask: () => void, onDeath: (silentMs: number) => void) {
		this.#options = options;
		this.#ask = ask;
		this.#onDeath = onDeath;
		this.#wait(options.keepaliveTimeMs, () => this.#look());
	}

	/** Something came. */
	heard(): void {
		this.#heardMs = performance.now();
	}

	stop(): void {
		if (this.#timer) clearTimeout(this.#timer);
	}

	#look(): void {
		const restMs = this.#options.keepaliveTimeMs - this.#silentMs();
		if (restMs > 0) {
			this.#wait(restMs, () => this.#look());
			return;
		}
		const askedMs = performance.now();
		this.#ask();
		this.#wait(this.#options.keepaliveTimeoutMs, () => {
			if (this.#heardMs >= askedMs) this.#look();
			else this.#onDeath(this.#silentMs());
		});
	}

	#silentMs(): number {
		return performance.now() - this.#heardMs;
	}

	#wait(ms: number, then: () => void): void {
		// A timer may fire a fraction of a millisecond early.
		this.#timer = setTimeout(then, Math.ceil(ms)).unref();
	}
}
