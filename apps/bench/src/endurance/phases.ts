// SPDX-License-Identifier: Apache-2.0
import type { CompletionEnd } from "./completion-stream.js";
import { Tally } from "./tally.js";

type Phase = "before" | "during" | "returning" | "after";

/** Requests by the phase in which they ended: before, during and after an outage, and while everybody comes back. */
export class Phases {
	readonly tallies: Readonly<Record<Phase, Tally>> = {
		before: new Tally(),
		during: new Tally(),
		returning: new Tally(),
		after: new Tally(),
	};
	readonly #outageMs: number[] = [];

	/** The servers are gone from now on. */
	outageBegins(): void {
		this.#outageMs[0] = performance.now();
	}

	/** They are back; everybody else shall be within `returnMs`. */
	outageEnds(returnMs: number): void {
		this.#outageMs.push(performance.now(), performance.now() + returnMs);
	}

	add(end: CompletionEnd): void {
		const phases = ["before", "during", "returning", "after"] as const;
		const past = this.#outageMs.filter((ms) => end.endedMs >= ms).length;
		this.tallies[phases[past]!].add(end);
	}

	get requests(): number {
		return Object.values(this.tallies).reduce((sum, { requests }) => sum + requests, 0);
	}

	get failed(): number {
		return Object.values(this.tallies).reduce((sum, { failed }) => sum + failed, 0);
	}
}
