// SPDX-License-Identifier: Apache-2.0
import type { Expression, Grammar } from "./expression.js";
import { GrammarError } from "./grammar-error.js";
import { findLeftRecursion } from "./left-recursion.js";
import { pruneGrammar } from "./prune.js";
import { utf8Sequences } from "./utf8-ranges.js";

export interface ByteEdge {
	readonly low: number;
	readonly high: number;
	readonly to: number;
}

/** One state of a network. */
export interface NetworkState {
	/** What it reads. */
	readonly bytes: ByteEdge[];
	/** Where it may go without reading. */
	readonly empty: number[];
	/** Rules that it may enter (their first states), and the state after each. */
	readonly calls: { readonly enter: number; readonly back: number }[];
	/** Whether it is the end of a rule. */
	final: boolean;
}

/** A grammar over bytes as a graph: one automaton per rule, which may enter each other (a recursive transition network). */
export interface Network {
	readonly states: readonly NetworkState[];
	readonly start: number;
}

/** Bounds what one grammar can take of memory: about 200 bytes a state. */
const MAX_STATES = 400_000;

/** @throws GrammarError when a rule is missing or left-recursive, or the grammar is too large. */
export function buildNetwork(grammar: Grammar): Network {
	const { rules, start } = pruneGrammar(grammar);
	const recursive = findLeftRecursion(rules);
	if (recursive !== null)
		throw new GrammarError(
			`rule ${recursive} is left-recursive: it can call itself before it has read anything; write it right-recursively or with "*"`,
		);
	const builder = new NetworkBuilder(rules);
	return { start: builder.rule(start), states: builder.states };
}

class NetworkBuilder {
	readonly states: NetworkState[] = [];
	readonly #rules: ReadonlyMap<string, Expression>;
	/** First states of rules that were met. */
	readonly #entries = new Map<string, number>();
	readonly #unbuilt: { readonly expression: Expression; readonly from: number; readonly to: number }[] = [];

	constructor(rules: ReadonlyMap<string, Expression>) {
		this.#rules = rules;
	}

	/** Builds `expression` and all rules that it needs; returns its first state. */
	rule(expression: Expression): number {
		const entry = this.#open(expression);
		for (let next = this.#unbuilt.pop(); next; next = this.#unbuilt.pop())
			this.#build(next.expression, next.from, next.to);
		return entry;
	}

	#open(expression: Expression): number {
		const from = this.#state();
		const to = this.#state();
		this.states[to]!.final = true;
		this.#unbuilt.push({ expression, from, to });
		return from;
	}

	#state(): number {
		if (this.states.length === MAX_STATES)
			throw new GrammarError(
				`it needs more than ${MAX_STATES} states; ask for less, such as smaller maxLength or maxItems`,
			);
		return this.states.push({ bytes: [], empty: [], calls: [], final: false }) - 1;
	}

	#build(expression: Expression, from: number, to: number): void {
		switch (expression.kind) {
			case "characters":
				for (const range of expression.ranges)
					for (const bytes of utf8Sequences(range)) this.#bytes(bytes, from, to);
				return;
			case "text":
				this.#bytes(
					Array.from(new TextEncoder().encode(expression.text), (byte) => [byte, byte] as const),
					from,
					to,
				);
				return;
			case "sequence": {
				let at = from;
				for (const [index, item] of expression.items.entries()) {
					const next = index === expression.items.length - 1 ? to : this.#state();
					this.#build(item, at, next);
					at = next;
				}
				if (expression.items.length === 0) this.states[from]!.empty.push(to);
				return;
			}
			case "choice":
				for (const item of expression.items) {
					// Its own first state: a repetition in it must not be entered from a sibling.
					const own = this.#state();
					this.states[from]!.empty.push(own);
					this.#build(item, own, to);
				}
				return;
			case "repeat":
				this.#repeat(expression.item, expression.min, expression.max, from, to);
				return;
			case "rule":
				this.states[from]!.calls.push({ enter: this.#entry(expression.name), back: to });
		}
	}

	#entry(name: string): number {
		const known = this.#entries.get(name);
		if (known !== undefined) return known;
		const expression = this.#rules.get(name);
		if (!expression) throw new GrammarError(`rule ${name} is not defined`);
		const entry = this.#open(expression);
		this.#entries.set(name, entry);
		return entry;
	}

	#repeat(item: Expression, min: number, max: number, from: number, to: number): void {
		let at = from;
		for (let i = 0; i < min; i++) {
			const next = this.#state();
			this.#build(item, at, next);
			at = next;
		}
		if (max === Number.POSITIVE_INFINITY) {
			const loop = this.#state();
			this.states[at]!.empty.push(loop);
			this.#build(item, loop, loop);
			at = loop;
		} else {
			for (let i = min; i < max; i++) {
				this.states[at]!.empty.push(to);
				const next = this.#state();
				this.#build(item, at, next);
				at = next;
			}
		}
		this.states[at]!.empty.push(to);
	}

	#bytes(ranges: readonly (readonly [number, number])[], from: number, to: number): void {
		let at = from;
		for (const [index, [low, high]] of ranges.entries()) {
			const next = index === ranges.length - 1 ? to : this.#state();
			this.states[at]!.bytes.push({ low, high, to: next });
			at = next;
		}
		if (ranges.length === 0) this.states[from]!.empty.push(to);
	}
}
