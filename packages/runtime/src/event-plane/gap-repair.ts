// SPDX-License-Identifier: Apache-2.0
import { SequenceTracker } from "./sequence-tracker.js";

/** One event of one publisher. */
export interface Sequenced {
	readonly publisherId: bigint;
	readonly sequence: bigint;
}

/** What came of asking for missing events. */
export interface Repaired<T> {
	readonly events: readonly T[];
	/** What is missing up to this sequence is lost; asking again is of no use. */
	readonly settled: bigint;
}

/** Asks for the events `from` .. `to` of one publisher. Must not reject. */
export type Repair<T> = (from: bigint, to: bigint) => Promise<Repaired<T>>;

/** The largest sequence: "all there is from here on". */
export const NEWEST: bigint = 2n ** 64n - 1n;

/** Most events that wait for a gap to be filled; with more, it is given up. */
const MAX_HELD = 10_000;

/**
 * Passes events on in order and once each. At a gap it holds the publisher's later events and asks, once, for the
 * missing ones; those that do not come are counted in the next event's `missed`.
 */
export class GapRepair<T extends Sequenced> {
	readonly #tracker = new SequenceTracker();
	readonly #deliver: (event: T, missed: bigint) => void;
	readonly #repairOf: (publisherId: bigint) => Repair<T> | null;
	/** Publishers with a repair under way, and their events beyond the gap by sequence. */
	readonly #held = new Map<bigint, Map<bigint, T>>();

	/** @param repairOf how to ask for events of this publisher; null when nobody has them */
	constructor(
		deliver: (event: T, missed: bigint) => void,
		repairOf: (publisherId: bigint) => Repair<T> | null,
	) {
		this.#deliver = deliver;
		this.#repairOf = repairOf;
	}

	/** All events of this publisher are wanted, from its first on. Does nothing when it is known already. */
	expectFromStart(publisherId: bigint): void {
		if (this.#tracker.expected(publisherId) === null) this.#tracker.expect(publisherId, 0n);
	}

	/** Asks a known publisher what it has sent since its last event, after a time when nothing could come from it. */
	catchUp(publisherId: bigint): void {
		const expected = this.#tracker.expected(publisherId);
		if (expected !== null && !this.#held.has(publisherId)) this.#ask(publisherId, expected, NEWEST, []);
	}

	/** `catchUp` for every publisher that is known. */
	catchUpAll(): void {
		for (const publisherId of [...this.#tracker.publishers]) this.catchUp(publisherId);
	}

	accept(event: T): void {
		const { publisherId, sequence } = event;
		const expected = this.#tracker.expected(publisherId);
		const held = this.#held.get(publisherId);
		if (expected === null || sequence <= expected) {
			this.#pass(event);
			if (held) this.#passConsecutive(publisherId, held);
		} else if (held) {
			held.set(sequence, event);
			if (held.size > MAX_HELD) this.#passUpTo(NEWEST, held);
		} else if (!this.#ask(publisherId, expected, sequence - 1n, [event])) this.#pass(event);
	}

	/** @returns false when nobody can be asked */
	#ask(publisherId: bigint, from: bigint, to: bigint, behind: readonly T[]): boolean {
		const repair = this.#repairOf(publisherId);
		if (!repair) return false;
		const held = new Map(behind.map((event) => [event.sequence, event]));
		this.#held.set(publisherId, held);
		void repair(from, to).then(({ events, settled }) => {
			this.#held.delete(publisherId);
			for (const event of events) held.set(event.sequence, event);
			this.#passUpTo(settled, held);
			if (held.size === 0) return;
			const rest = inOrder(held);
			const expected = this.#tracker.expected(publisherId) ?? 0n;
			if (!this.#ask(publisherId, expected, rest[0]!.sequence - 1n, rest)) this.#passUpTo(NEWEST, held);
		});
		return true;
	}

	#passConsecutive(publisherId: bigint, held: Map<bigint, T>): void {
		for (;;) {
			const event = held.get(this.#tracker.expected(publisherId)!);
			if (!event) return;
			held.delete(event.sequence);
			this.#pass(event);
		}
	}

	/** Passes on what is held as far as no gap reaches beyond `settled`. */
	#passUpTo(settled: bigint, held: Map<bigint, T>): void {
		for (const event of inOrder(held)) {
			const inSequence = event.sequence <= (this.#tracker.expected(event.publisherId) ?? 0n);
			if (!inSequence && event.sequence - 1n > settled) return;
			held.delete(event.sequence);
			this.#pass(event);
		}
	}

	#pass(event: T): void {
		const arrival = this.#tracker.observe(event.publisherId, event.sequence);
		if (arrival.kind === "next" || arrival.kind === "gap") this.#deliver(event, arrival.missed);
	}
}

function inOrder<T extends Sequenced>(held: ReadonlyMap<bigint, T>): T[] {
	return [...held.values()].sort((a, b) => (a.sequence < b.sequence ? -1 : 1));
}
