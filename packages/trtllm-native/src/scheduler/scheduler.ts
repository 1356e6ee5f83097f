// SPDX-License-Identifier: Apache-2.0
import type { BlockPool } from "@dyn/kvbm";
import type { Sequence } from "./sequence.js";

export interface SchedulerLimits {
	/** Most sequences that run at once. */
	readonly maxNumSeqs: number;
	/** Most tokens (rows) of one step. */
	readonly maxNumBatchedTokens: number;
	/** Of them those of prompts, in a step with decoding sequences, whose next tokens wait for them. Default: all. */
	readonly maxPromptTokensBesideDecoding?: number | undefined;
	/** Tokens per KV block. */
	readonly kvBlockSize: number;
}

/** One sequence's part of a step: compute `count` tokens from `sequence.computed` on. */
export interface ScheduledShare {
	readonly sequence: Sequence;
	readonly count: number;
	/** Whether these are the last pending tokens, so that the next one is chosen after them. */
	readonly samples: boolean;
	/** What may be chosen after them: computed in the same step, so that it need not be in the next. */
	readonly guesses?: Uint32Array;
}

export interface StepPlan {
	readonly shares: readonly ScheduledShare[];
	/** Sequences that got a slot for this step, for the first time or again. */
	readonly admitted: readonly Sequence[];
	/** Sequences that lost slot and blocks and wait again, with the slot they had. */
	readonly preempted: readonly { readonly sequence: Sequence; readonly slot: number }[];
}

/**
 * Continuous batching. Every step takes, in this order and as long as rows, slots and blocks last:
 * one token of each decoding sequence; the next chunk of each unfinished prompt; waiting sequences, most urgent first.
 * A waiting sequence starts once there are blocks for all of its tokens, so only decoding can run out of them. Then the
 * least urgent running sequence gives its own back and waits; what it had computed usually comes back from the prefix
 * cache. The most urgent one always advances, so there is no deadlock as long as each sequence alone fits the pool.
 */
export class Scheduler {
	readonly #pool: BlockPool;
	readonly #limits: SchedulerLimits;
	readonly #freeSlots: number[];
	/** Most urgent first, in both. */
	readonly #waiting: Sequence[] = [];
	readonly #running: Sequence[] = [];
	#arrivals = 0;
	#preemptions = 0;
	#promptTokens = 0;
	#cachedTokens = 0;

	constructor(pool: BlockPool, limits: SchedulerLimits) {
		this.#pool = pool;
		this.#limits = limits;
		this.#freeSlots = Array.from({ length: limits.maxNumSeqs }, (_, index) => limits.maxNumSeqs - 1 - index);
	}

	get running(): number {
		return this.#running.length;
	}
	get waiting(): number {
		return this.#waiting.length;
	}
	/** Preemptions since the start. */
	get preemptions(): number {
		return this.#preemptions;
	}
	/** Tokens of all sequences that were ever admitted, and how many of these the cache had. */
	get prefixReuse(): { readonly promptTokens: number; readonly cachedTokens: number } {
		return { promptTokens: this.#promptTokens, cachedTokens: this.#cachedTokens };
	}

	add(sequence: Sequence): void {
		sequence.arrival = this.#arrivals++;
		insertByUrgency(this.#waiting, sequence);
	}

	/** Takes a finished or cancelled sequence out, wherever it is, and frees what it holds. Not while a step with it runs. Returns its former slot or -1. */
	remove(sequence: Sequence): number {
		sequence.finished = true;
		removeFrom(this.#waiting, sequence);
		return this.#giveBack(sequence);
	}

	plan(): StepPlan {
		this.#takeSpareBlocksBack();
		const shares: ScheduledShare[] = [];
		const admitted: Sequence[] = [];
		const preempted: { sequence: Sequence; slot: number }[] = [];
		let rows = this.#limits.maxNumBatchedTokens;

		const schedule = (sequence: Sequence): void => {
			if (sequence.slot === -1 || rows === 0 || sequence.held) return; // preempted meanwhile
			const count = Math.min(sequence.pending, rows);
			while (!this.#cover(sequence)) {
				const victim = this.#running.at(-1)!;
				preempted.push({ sequence: victim, slot: this.#preempt(victim) });
				const index = shares.findIndex((share) => share.sequence === victim);
				if (index !== -1) rows += shares.splice(index, 1)[0]!.count;
				if (victim === sequence) return;
			}
			rows -= count;
			shares.push({ sequence, count, samples: count === sequence.pending });
		};

		const running = [...this.#running];
		for (const sequence of running) if (sequence.pending === 1) schedule(sequence);
		if (shares.length > 0) rows = Math.min(rows, this.#limits.maxPromptTokensBesideDecoding ?? rows);
		for (const sequence of running) if (sequence.pending > 1) schedule(sequence);

		if (preempted.length === 0) {
			for (const sequence of [...this.#waiting]) {
				if (rows === 0 || this.#freeSlots.length === 0) break;
				if (!sequence.ready || sequence.held) continue;
				if (!this.#admit(sequence)) break; // whoever comes later must not overtake
				admitted.push(sequence);
				const count = Math.min(sequence.pending, rows);
				rows -= count;
				shares.push({ sequence, count, samples: count === sequence.pending });
			}
		}
		return { shares, admitted, preempted };
	}

	/**
	 * The plan with guesses, as far as there are rows and empty blocks for them: nobody waits or is preempted for a guess,
	 * and nothing is evicted.
	 */
	withGuesses(plan: StepPlan, guesses: ReadonlyMap<Sequence, Uint32Array>): StepPlan {
		let rows = plan.shares.reduce((left, { count }) => left - count, this.#limits.maxNumBatchedTokens);
		const shares = plan.shares.map((share) => {
			const { sequence } = share;
			const count = this.#roomFor(Math.min(guesses.get(sequence)?.length ?? 0, rows), sequence);
			if (count === 0) return share;
			rows -= count;
			return { ...share, guesses: guesses.get(sequence)!.subarray(0, count) };
		});
		return { ...plan, shares };
	}

	/**
	 * How many of so many passes a plan can have: each takes a position more of every sequence, and as with guesses nobody
	 * is evicted for them.
	 */
	roomForPasses({ shares }: StepPlan, passes: number): number {
		return shares.reduce((room, { sequence }) => 1 + this.#roomFor(room - 1, sequence), passes);
	}

	/** Records that tokens were computed; blocks that became full can be found from now on. */
	computed({ sequence, count }: Pick<ScheduledShare, "sequence" | "count">): void {
		const size = this.#limits.kvBlockSize;
		const before = Math.floor(sequence.computed / size);
		sequence.computed += count;
		const full = Math.floor(sequence.computed / size);
		if (full === before) return;
		const hashes = sequence.hashes(full, size);
		const blocks = this.#pool.commit(
			sequence.blocks.slice(before, full),
			hashes.slice(before).map(({ tokens, sequence: hash }) => ({ blockHash: hash, tokensHash: tokens })),
			hashes[before - 1]?.sequence ?? null,
		);
		sequence.blocks.splice(before, blocks.length, ...blocks);
	}

	/** Gives a waiting sequence a slot, its cached prefix and blocks for the rest; false, and no change, if there are not enough. */
	#admit(sequence: Sequence): boolean {
		const size = this.#limits.kvBlockSize;
		const reusable = Math.floor(sequence.reusable / size);
		const prefix = this.#pool.matchPrefix(sequence.hashes(reusable, size).map(({ sequence: hash }) => hash));
		this.#pool.hold(prefix);
		sequence.blocks = [...prefix];
		if (!this.#cover(sequence)) {
			this.#pool.release(prefix);
			sequence.blocks = [];
			return false;
		}
		sequence.computed = prefix.length * size;
		if (!sequence.admitted) {
			sequence.admitted = true;
			sequence.cached = sequence.computed;
			this.#promptTokens += sequence.promptLength;
			this.#cachedTokens += sequence.cached;
		}
		removeFrom(this.#waiting, sequence);
		insertByUrgency(this.#running, sequence);
		sequence.slot = this.#freeSlots.pop()!;
		return true;
	}

	/** How many of the `wanted` tokens that may follow a sequence fit into its blocks and those that are empty, which it takes. */
	#roomFor(wanted: number, sequence: Sequence): number {
		const size = this.#limits.kvBlockSize;
		const missing = Math.ceil((sequence.tokens.length + wanted) / size) - sequence.blocks.length;
		const blocks = this.#pool.allocate(Math.min(Math.max(missing, 0), this.#pool.stats.free))!;
		sequence.blocks.push(...blocks);
		return Math.min(wanted, sequence.blocks.length * size - sequence.tokens.length);
	}

	/** What guesses or passes did not need; it is planned anew how many there are. */
	#takeSpareBlocksBack(): void {
		for (const { blocks, tokens } of this.#running)
			this.#pool.release(blocks.splice(Math.ceil(tokens.length / this.#limits.kvBlockSize)));
	}

	/** Makes sure that the sequence has blocks for all its tokens; false, and no change, if there are not enough. */
	#cover(sequence: Sequence): boolean {
		const missing = Math.ceil(sequence.tokens.length / this.#limits.kvBlockSize) - sequence.blocks.length;
		if (missing <= 0) return true;
		const blocks = this.#pool.allocate(missing);
		if (blocks) sequence.blocks.push(...blocks);
		return blocks !== null;
	}

	#preempt(sequence: Sequence): number {
		this.#preemptions++;
		const slot = this.#giveBack(sequence);
		insertByUrgency(this.#waiting, sequence);
		return slot;
	}

	#giveBack(sequence: Sequence): number {
		const slot = sequence.slot;
		removeFrom(this.#running, sequence);
		this.#pool.release(sequence.blocks);
		if (slot !== -1) this.#freeSlots.push(slot);
		sequence.blocks = [];
		sequence.computed = 0;
		sequence.slot = -1;
		return slot;
	}
}

/** Higher priority first, then earlier arrival. */
function insertByUrgency(list: Sequence[], sequence: Sequence): void {
	const index = list.findIndex(
		(other) =>
			other.priority < sequence.priority ||
			(other.priority === sequence.priority && other.arrival > sequence.arrival),
	);
	list.splice(index === -1 ? list.length : index, 0, sequence);
}

function removeFrom(list: Sequence[], sequence: Sequence): void {
	const index = list.indexOf(sequence);
	if (index !== -1) list.splice(index, 1);
}
