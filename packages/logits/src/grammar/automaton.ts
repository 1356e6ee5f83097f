// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "./grammar-error.js";
import type { Network } from "./network.js";
import { Stacks } from "./stacks.js";

/** No byte leads on. */
export const DEAD = -1;
const UNKNOWN = -2;

/** Positions that one call may visit: what ambiguity costs is bounded by this, about half a second. */
const MAX_WORK = 1_000_000;
/** States kept, about 1.3 KB each; more are forgotten and computed again when needed. */
const MAX_STATES = 6_000;
const MAX_STACKS = 200_000;

/** A state in terms that outlive a `clear`: positions as network state and return addresses. */
export type Snapshot = readonly (readonly number[])[];

interface State {
	/** Positions that read: network state + stack * number of network states; sorted. */
	readonly positions: readonly number[];
	/** Whether the text may end here. */
	readonly accepting: boolean;
	/** State after each byte. */
	readonly next: Int32Array;
}

/**
 * Runs a network over bytes, deterministically: a state is the set of all positions in which the network can be, and is
 * computed the first time that it is reached. So a grammar costs nothing before it is used, and little after.
 */
export class Automaton {
	readonly #network: Network;
	#stacks: Stacks;
	#states: State[] = [];
	#ids = new Map<string, number>();
	#work = 0;
	/** Network states after which the rule can only end: entering a rule there needs no return address. */
	readonly #ends: Uint8Array;

	constructor(network: Network) {
		this.#network = network;
		this.#stacks = new Stacks(network.states.length);
		this.#ends = Uint8Array.from(network.states, ({ final, bytes, empty, calls }) =>
			final && bytes.length + empty.length + calls.length === 0 ? 1 : 0,
		);
	}

	/** Whether it holds so much that `clear` is due. */
	get full(): boolean {
		return this.#states.length > MAX_STATES || this.#stacks.size > MAX_STACKS;
	}

	/** To be called before each piece of work that a grammar's author answers for. */
	begin(): void {
		this.#work = 0;
	}

	/** State before the first byte. */
	start(): number {
		return this.#intern([this.#network.start]);
	}

	accepting(state: number): boolean {
		return this.#states[state]!.accepting;
	}

	/**
	 * State after one more byte, DEAD when the grammar forbids it.
	 * @throws GrammarError when there are too many ways to read the text.
	 */
	step(state: number, byte: number): number {
		const { next } = this.#states[state]!;
		const known = next[byte]!;
		if (known !== UNKNOWN) return known;
		next[byte] = this.#compute(state, byte);
		return next[byte]!;
	}

	/** Forgets all states; their ids are void. */
	clear(): void {
		this.#stacks = new Stacks(this.#network.states.length);
		this.#states = [];
		this.#ids = new Map();
	}

	save(state: number): Snapshot {
		const count = this.#network.states.length;
		return this.#states[state]!.positions.map((position) => [
			position % count,
			...this.#stacks.list(Math.floor(position / count)),
		]);
	}

	/** @param accepting of the state that was saved */
	restore(snapshot: Snapshot, accepting: boolean): number {
		const positions = snapshot.map(([at, ...backs]) =>
			this.#position(
				at!,
				backs.reduceRight((stack, back) => this.#stacks.push(stack, back), 0),
			),
		);
		return this.#add(positions, accepting);
	}

	#position(at: number, stack: number): number {
		return at + stack * this.#network.states.length;
	}

	#compute(state: number, byte: number): number {
		const count = this.#network.states.length;
		const reached: number[] = [];
		for (const position of this.#states[state]!.positions) {
			const at = position % count;
			for (const { low, high, to } of this.#network.states[at]!.bytes)
				if (byte >= low && byte <= high) reached.push(position - at + to);
		}
		return reached.length === 0 ? DEAD : this.#intern(reached);
	}

	/** The state of all positions that can be reached from these without reading. */
	#intern(from: readonly number[]): number {
		const { states } = this.#network;
		const count = states.length;
		const seen = new Set(from);
		const pending = [...from];
		const reading: number[] = [];
		let accepting = false;
		const visit = (at: number, stack: number): void => {
			const position = this.#position(at, stack);
			if (seen.has(position)) return;
			seen.add(position);
			pending.push(position);
		};
		for (let position = pending.pop(); position !== undefined; position = pending.pop()) {
			if (++this.#work > MAX_WORK)
				throw new GrammarError("it is too ambiguous: there are too many ways to read the same text");
			const at = position % count;
			const stack = Math.floor(position / count);
			const { bytes, empty, calls, final } = states[at]!;
			if (bytes.length > 0) reading.push(position);
			for (const to of empty) visit(to, stack);
			for (const { enter, back } of calls)
				visit(enter, this.#ends[back] === 1 ? stack : this.#stacks.push(stack, back));
			if (!final) continue;
			if (stack === 0) accepting = true;
			else visit(this.#stacks.back(stack), this.#stacks.below(stack));
		}
		return reading.length === 0 && !accepting ? DEAD : this.#add(reading, accepting);
	}

	#add(positions: number[], accepting: boolean): number {
		positions.sort((a, b) => a - b);
		const key = `${accepting ? "+" : "-"}${positions.join()}`;
		const known = this.#ids.get(key);
		if (known !== undefined) return known;
		const id = this.#states.push({ positions, accepting, next: new Int32Array(256).fill(UNKNOWN) }) - 1;
		this.#ids.set(key, id);
		return id;
	}
}
