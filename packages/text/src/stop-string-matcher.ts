// SPDX-License-Identifier: Apache-2.0

export interface MatcherOutput {
	/** Text that is certainly not the beginning of a stop string. */
	readonly text: string;
	/** The stop string that ended the text, or null. Nothing after it is ever emitted. */
	readonly stopped: string | null;
}

/**
 * Finds stop strings in text that arrives in pieces. Withholds exactly the longest suffix that may still become one, so
 * no part of a stop string is ever emitted. Cost per character does not grow with the number of stop strings
 * (an Aho-Corasick automaton over UTF-16 units).
 */
export class StopStringMatcher {
	readonly #stops: readonly string[];
	readonly #includeStop: boolean;
	/** Per state: next states, longest proper suffix that is a state, its length, and the stop string that ends there. */
	readonly #next: Map<number, number>[] = [new Map()];
	readonly #suffix: number[] = [0];
	readonly #depth: number[] = [0];
	readonly #found: (string | null)[] = [null];
	#state = 0;
	#withheld = "";
	#stopped: string | null = null;

	/** @param includeStop whether the stop string itself is emitted */
	constructor(stops: readonly string[], includeStop = false) {
		this.#stops = stops.filter((stop) => stop.length > 0);
		this.#includeStop = includeStop;
		for (const stop of this.#stops) this.#insert(stop);
		this.#link();
	}

	push(piece: string): MatcherOutput {
		if (this.#stopped !== null) return { text: "", stopped: this.#stopped };
		if (this.#stops.length === 0) return { text: piece, stopped: null };
		const text = this.#withheld + piece;
		for (let i = this.#withheld.length; i < text.length; i++) {
			this.#state = this.#step(this.#state, text.charCodeAt(i));
			const found = this.#found[this.#state];
			if (found === null || found === undefined) continue;
			this.#stopped = found;
			this.#withheld = "";
			return { text: text.slice(0, i + 1 - (this.#includeStop ? 0 : found.length)), stopped: found };
		}
		const safe = text.length - this.#depth[this.#state]!;
		this.#withheld = text.slice(safe);
		return { text: text.slice(0, safe), stopped: null };
	}

	/** What was withheld, when no more text comes. */
	finish(): string {
		const rest = this.#withheld;
		this.#withheld = "";
		return rest;
	}

	#insert(stop: string): void {
		let state = 0;
		for (let i = 0; i < stop.length; i++) {
			const unit = stop.charCodeAt(i);
			let next = this.#next[state]!.get(unit);
			if (next === undefined) {
				next = this.#next.length;
				this.#next.push(new Map());
				this.#suffix.push(0);
				this.#depth.push(i + 1);
				this.#found.push(null);
				this.#next[state]!.set(unit, next);
			}
			state = next;
		}
		this.#found[state] = stop;
	}

	/** Breadth first, so that shorter suffixes are linked before longer ones. */
	#link(): void {
		const queue = [...this.#next[0]!.values()];
		for (let head = 0; head < queue.length; head++) {
			const state = queue[head]!;
			for (const [unit, next] of this.#next[state]!) {
				this.#suffix[next] = this.#step(this.#suffix[state]!, unit);
				this.#found[next] ??= this.#found[this.#suffix[next]!]!;
				queue.push(next);
			}
		}
	}

	#step(from: number, unit: number): number {
		for (let state = from; ; state = this.#suffix[state]!) {
			const next = this.#next[state]!.get(unit);
			if (next !== undefined) return next;
			if (state === 0) return 0;
		}
	}
}
