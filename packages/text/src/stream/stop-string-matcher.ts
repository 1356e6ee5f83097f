// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";

export interface StopStringMatcherOptions {
	/** Emit the stop string itself as well. Default false. */
	readonly includeStopString?: boolean;
}

export interface StopStringResult {
	/** Text that can be sent now. */
	readonly text: string;
	/** The stop string that was found; everything after it is dropped. */
	readonly stopped?: string;
}

/**
 * Finds the first of several stop strings in text that arrives in pieces, and holds back exactly the longest ending
 * that could still grow into one. The first to end wins; of two that end together, the longer one.
 *
 * An Aho–Corasick automaton over UTF-16 code units: building is linear in the total length of the stop strings,
 * pushing in the length of the text, however many strings there are and however they overlap.
 */
export class StopStringMatcher {
	readonly #automaton: Automaton;
	readonly #include: boolean;
	#state = 0;
	/** Text not sent yet; its last `depth(state)` units are a prefix of a stop string. */
	#held = "";
	#stopped: string | undefined;

	/** @throws DynError INVALID_ARGUMENT for an empty stop string or one with a lone surrogate, which no text contains. */
	constructor(stopStrings: readonly string[], options: StopStringMatcherOptions = {}) {
		for (const [index, stop] of stopStrings.entries()) {
			if (stop === "") throw invalidArgument(`stop[${index}]`, "a stop string must not be empty");
			if (/\p{Surrogate}/u.test(stop))
				throw invalidArgument(`stop[${index}]`, "a stop string must be valid Unicode text");
		}
		this.#automaton = new Automaton(stopStrings);
		this.#include = options.includeStopString ?? false;
	}

	push(text: string): StopStringResult {
		if (this.#stopped !== undefined) return { text: "", stopped: this.#stopped };
		const automaton = this.#automaton;
		for (let at = 0; at < text.length; at++) {
			this.#state = automaton.step(this.#state, text.charCodeAt(at));
			const length = automaton.matchLength(this.#state);
			if (length === 0) continue;
			const all = this.#held + text.slice(0, at + 1);
			this.#stopped = all.slice(all.length - length);
			this.#held = "";
			return { text: this.#include ? all : all.slice(0, all.length - length), stopped: this.#stopped };
		}
		const all = this.#held + text;
		let safe = all.length - automaton.depth(this.#state);
		// Half a surrogate pair is no text yet.
		if (safe > 0 && isHighSurrogate(all.charCodeAt(safe - 1))) safe--;
		this.#held = all.slice(safe);
		return { text: all.slice(0, safe) };
	}

	/** What was held back, now that no more text comes; empty after a stop. */
	finish(): string {
		const text = this.#held;
		this.#held = "";
		this.#state = 0;
		return text;
	}
}

function isHighSurrogate(unit: number): boolean {
	return (unit & 0xfc00) === 0xd800;
}

/** States are nodes of the trie of all strings; 0 is the root. */
class Automaton {
	/** (state * 65,536 + unit) → child. */
	readonly #children = new Map<number, number>();
	readonly #depths: number[] = [0];
	/** The state of the longest proper suffix that is in the trie. */
	readonly #failures: number[] = [0];
	/** Length of the longest string that ends in this state, 0 for none. */
	readonly #matches: number[] = [0];

	constructor(strings: readonly string[]) {
		const parents: number[] = [0];
		const units: number[] = [0];
		/** States by depth: a failure leads to a lesser one, so shallow states are finished first. */
		const levels: number[][] = [[]];
		for (const string of strings) {
			let state = 0;
			for (let at = 0; at < string.length; at++) {
				const key = state * 0x10000 + string.charCodeAt(at);
				let child = this.#children.get(key);
				if (child === undefined) {
					child = this.#depths.length;
					this.#children.set(key, child);
					this.#depths.push(at + 1);
					this.#matches.push(0);
					this.#failures.push(0);
					parents.push(state);
					units.push(string.charCodeAt(at));
					levels[at + 1] ??= [];
					levels[at + 1]!.push(child);
				}
				state = child;
			}
			this.#matches[state] = string.length;
		}
		for (const state of levels.flat()) {
			if (this.#depths[state]! > 1)
				this.#failures[state] = this.step(this.#failures[parents[state]!]!, units[state]!);
			if (this.#matches[state] === 0) this.#matches[state] = this.#matches[this.#failures[state]!]!;
		}
	}

	step(from: number, unit: number): number {
		for (let state = from; ; state = this.#failures[state]!) {
			const child = this.#children.get(state * 0x10000 + unit);
			if (child !== undefined) return child;
			if (state === 0) return 0;
		}
	}

	depth(state: number): number {
		return this.#depths[state]!;
	}

	matchLength(state: number): number {
		return this.#matches[state]!;
	}
}
