// SPDX-License-Identifier: Apache-2.0
import type { Sequence } from "../scheduler/sequence.js";
import type { GuidedChoice } from "./guided-choice.js";

/** Longest that a step's other sequences wait for the masks of guided ones, ms. A mask takes well below one. */
const GRACE_MS = 10;

/**
 * Waits for guides, which are worked out elsewhere while a step runs. One that takes longer than the step and a little
 * more is not waited for: its sequence is held, and the others go on without it.
 */
export class GuideWaits {
	readonly #held = new Set<Sequence>();
	#interrupt: (() => void) | null = null;

	/** Ends a wait: there is something else to do. */
	interrupt(): void {
		this.#interrupt?.();
	}

	/** Resolves when all of a step's guides are ready, or no longer to be waited for. */
	async forStep(guides: readonly GuidedChoice[], shares: number): Promise<void> {
		const late = guides.filter(({ isReady }) => !isReady);
		if (late.length === 0) return;
		await this.#wait(Promise.all(late.map((guide) => guide.ready())), late.length < shares ? GRACE_MS : null);
	}

	/** Leaves a sequence out of plans until its guide is ready. */
	hold(sequence: Sequence, guide: GuidedChoice): void {
		sequence.held = true;
		this.#held.add(sequence);
		void guide.ready().then(() => {
			sequence.held = false;
			this.#held.delete(sequence);
			this.interrupt();
		});
	}

	/** Resolves when there may be something to do again; false, and at once, when nothing is held. */
	async holding(): Promise<boolean> {
		if (this.#held.size === 0) return false;
		await this.#wait(new Promise(() => {}), null);
		return true;
	}

	async #wait(done: Promise<unknown>, limitMs: number | null): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		await new Promise<void>((resolve) => {
			this.#interrupt = resolve;
			if (limitMs !== null) timer = setTimeout(resolve, limitMs);
			void done.then(() => resolve());
		});
		clearTimeout(timer);
		this.#interrupt = null;
	}
}
