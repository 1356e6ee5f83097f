// SPDX-License-Identifier: Apache-2.0

interface Pulse {
	/** When the instance last sent anything, to whomever; monotonic, ms. */
	lastMs: number;
	/** Its attempts under way. */
	readonly attempts: Set<AttemptPulse>;
}

/** Signs of life of the instances of one endpoint, from all requests of this frontend together. */
export class Pulses {
	readonly #pulses = new Map<bigint, Pulse>();

	/** An attempt begins at instance `id`. */
	begin(id: bigint): AttemptPulse {
		const pulse = this.#pulses.get(id) ?? { lastMs: Number.NEGATIVE_INFINITY, attempts: new Set() };
		this.#pulses.set(id, pulse);
		const attempt: AttemptPulse = new AttemptPulse(pulse, () => {
			pulse.attempts.delete(attempt);
			if (pulse.attempts.size === 0) this.#pulses.delete(id);
		});
		pulse.attempts.add(attempt);
		return attempt;
	}
}

/** What one attempt adds to its instance's signs of life, and hears of them. */
export class AttemptPulse {
	readonly #pulse: Pulse;
	readonly #beganMs = performance.now();
	#hasToken = false;
	/** Exactly once. */
	readonly end: () => void;

	constructor(pulse: Pulse, end: () => void) {
		this.#pulse = pulse;
		this.end = end;
	}

	output(hasTokens: boolean): void {
		this.#pulse.lastMs = performance.now();
		this.#hasToken ||= hasTokens;
	}

	/**
	 * Whether a pause between this attempt's tokens has a reason other than a frozen instance: it talks to others, so this
	 * request only waits for its turn; or it had somebody's prompt when it last spoke and has not answered that: a chunk of
	 * a long prompt holds the whole batch up.
	 */
	excuses(silentMs: number): boolean {
		if (!this.#hasToken) return false;
		const { lastMs, attempts } = this.#pulse;
		if (performance.now() - lastMs < silentMs / 2) return true;
		for (const other of attempts) if (!other.#hasToken && other.#beganMs < lastMs) return true;
		return false;
	}
}
