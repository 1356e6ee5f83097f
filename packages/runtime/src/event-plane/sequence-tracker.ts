// SPDX-License-Identifier: Apache-2.0

/** How an event relates to those of its publisher that came before. */
export type Arrival =
	/** In order, or the first that is seen of this publisher, wherever it begins. */
	| { readonly kind: "next"; readonly missed: 0n }
	/** `missed` events before it did not come. */
	| { readonly kind: "gap"; readonly missed: bigint }
	/** The last one again. */
	| { readonly kind: "duplicate" }
	/** Older than the last one: a duplicate, or too late. */
	| { readonly kind: "stale" };

const NEXT: Arrival = { kind: "next", missed: 0n };
const DUPLICATE: Arrival = { kind: "duplicate" };
const STALE: Arrival = { kind: "stale" };

/** Remembers the last sequence number of each publisher. A publisher that starts again has a new id, and is new. */
export class SequenceTracker {
	readonly #capacity: number;
	/** Last sequence by publisher, least recently seen first. */
	readonly #last = new Map<bigint, bigint>();

	/** @param capacity publishers remembered; beyond these the one not heard of for longest is forgotten */
	constructor(capacity = 10_000) {
		this.#capacity = capacity;
	}

	/** Publishers that are remembered. */
	get publishers(): Iterable<bigint> {
		return this.#last.keys();
	}

	/** The sequence that should come next, or null when the publisher is not known. */
	expected(publisherId: bigint): bigint | null {
		const last = this.#last.get(publisherId);
		return last === undefined ? null : last + 1n;
	}

	/** Events of this publisher are expected from `sequence` on: what does not come counts as missed. */
	expect(publisherId: bigint, sequence: bigint): void {
		this.#remember(publisherId, sequence - 1n);
	}

	/** Tells what the event is; `duplicate` and `stale` should be dropped, and change nothing. */
	observe(publisherId: bigint, sequence: bigint): Arrival {
		const last = this.#last.get(publisherId);
		if (last !== undefined && sequence <= last) return sequence === last ? DUPLICATE : STALE;
		this.#remember(publisherId, sequence);
		if (last === undefined || sequence === last + 1n) return NEXT;
		return { kind: "gap", missed: sequence - last - 1n };
	}

	#remember(publisherId: bigint, sequence: bigint): void {
		this.#last.delete(publisherId);
		this.#last.set(publisherId, sequence);
		if (this.#last.size <= this.#capacity) return;
		for (const oldest of this.#last.keys()) {
			this.#last.delete(oldest);
			return;
		}
	}
}
