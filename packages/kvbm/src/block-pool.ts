// SPDX-License-Identifier: Apache-2.0
import type { KvEventData, StoredBlock } from "@dyn/protocols";

export interface BlockPoolStats {
	readonly total: number;
	/** Held by at least one sequence. */
	readonly active: number;
	/** Held by nobody, content kept for reuse. */
	readonly cached: number;
	/** Held by nobody, nothing in it. */
	readonly free: number;
}

/**
 * The physical KV blocks of one rank: who holds them, what they contain, which to give up first. Bookkeeping only;
 * blocks are numbers. A block that nobody holds keeps its content until it is needed (least recently released first),
 * so that a later sequence with the same prefix finds it. Every operation costs O(1) per block.
 *
 * While a block is findable, so is the one before it: whoever holds a findable block holds its findable predecessors
 * (`commit` sees to that), and `release` gives the end of a sequence up before its beginning.
 */
export class BlockPool {
	readonly #references: Uint32Array;
	/** What a findable block holds; null for the others. */
	readonly #contents: (StoredBlock | null)[];
	/** Sequence hash to the block that serves it. */
	readonly #byHash = new Map<bigint, number>();
	/** Unheld blocks without content, used last in first out. */
	readonly #free: number[];
	/** Unheld blocks with content, in order of release: a Map iterates in insertion order. */
	readonly #cached = new Map<number, null>();
	readonly #onChange: (change: KvEventData) => void;

	/** @param onChange hears of every block that gains or loses reusable content; must not throw */
	constructor(totalBlocks: number, onChange: (change: KvEventData) => void = () => {}) {
		this.#references = new Uint32Array(totalBlocks);
		this.#contents = new Array(totalBlocks).fill(null);
		this.#free = Array.from({ length: totalBlocks }, (_, index) => totalBlocks - 1 - index);
		this.#onChange = onChange;
	}

	get stats(): BlockPoolStats {
		const total = this.#references.length;
		const cached = this.#cached.size;
		const free = this.#free.length;
		return { total, active: total - cached - free, cached, free };
	}

	/** Blocks that `allocate` could hand out now. */
	get available(): number {
		return this.#free.length + this.#cached.size;
	}

	/** Takes `count` blocks with nothing in them, evicting old content if need be; null, and no change, if there are not enough. */
	allocate(count: number): number[] | null {
		if (count > this.available) return null;
		const blocks: number[] = [];
		const removed: bigint[] = [];
		for (let i = 0; i < count; i++) {
			const block = this.#free.pop() ?? this.#evictOldest(removed);
			this.#references[block] = 1;
			blocks.push(block);
		}
		if (removed.length > 0) this.#onChange({ type: "removed", blockHashes: removed });
		return blocks;
	}

	/** Blocks that hold the longest known prefix of a chain of sequence hashes, in order. Not taken: call `hold` before anything else. */
	matchPrefix(sequenceHashes: readonly bigint[]): number[] {
		const blocks: number[] = [];
		for (const hash of sequenceHashes) {
			const block = this.#byHash.get(hash);
			if (block === undefined) break;
			blocks.push(block);
		}
		return blocks;
	}

	/**
	 * Adds a holder to each block.
	 * @throws RangeError for a block with nothing in it, before anything changes.
	 */
	hold(blocks: readonly number[]): void {
		for (const block of blocks) {
			if (this.#references[block] === 0 && !this.#cached.has(block))
				throw new RangeError(`KV block ${block} holds nothing to share`);
		}
		for (const block of blocks) {
			if (this.#references[block]!++ === 0) this.#cached.delete(block);
		}
	}

	/**
	 * Declares what is in consecutive held blocks of one sequence that became full; from now on they can be found.
	 * When another block already serves the same prefix, the caller's hold moves to that one and its own is released:
	 * equal content is kept once, and the chain it belongs to cannot be evicted under the caller. A block whose
	 * predecessor cannot be found (after `clear`) could not be found either and stays private.
	 * @param parentHash sequence hash of the block before the first one; null at the beginning of a sequence
	 * @returns the blocks that the caller holds now, in the same order
	 * @throws RangeError for a block that nobody holds or that was declared before, before anything changes.
	 */
	commit(blocks: readonly number[], contents: readonly StoredBlock[], parentHash: bigint | null): number[] {
		for (const block of blocks) {
			if (!this.#references[block]) throw new RangeError(`KV block ${block} is not held`);
			if (this.#contents[block]) throw new RangeError(`the content of KV block ${block} is known`);
		}
		const held: number[] = [];
		let stored: StoredBlock[] = [];
		let parent = parentHash;
		const report = () => {
			if (stored.length > 0) this.#onChange({ type: "stored", parentHash: parent, blocks: stored });
			stored = [];
		};
		if (parentHash !== null && !this.#byHash.has(parentHash)) return [...blocks];
		for (const [i, content] of contents.entries()) {
			const own = blocks[i]!;
			const serving = this.#byHash.get(content.blockHash);
			if (serving === undefined) {
				this.#contents[own] = content;
				this.#byHash.set(content.blockHash, own);
				stored.push(content);
				held.push(own);
			} else {
				report();
				parent = content.blockHash;
				this.hold([serving]);
				this.release([own]);
				held.push(serving);
			}
		}
		report();
		return held;
	}

	/**
	 * Takes a holder off each block, last block first, so that the end of a sequence is given up before its beginning.
	 * @throws RangeError for a block that nobody holds.
	 */
	release(blocks: readonly number[]): void {
		for (let i = blocks.length - 1; i >= 0; i--) {
			const block = blocks[i]!;
			if (!this.#references[block])
				throw new RangeError(`KV block ${block} is released more often than it was taken`);
			if (--this.#references[block]! > 0) continue;
			if (this.#contents[block]) this.#cached.set(block, null);
			else this.#free.push(block);
		}
	}

	/** Forgets all reusable content. Held blocks stay with their holders, but are not found any more. */
	clear(): void {
		for (const block of this.#cached.keys()) this.#free.push(block);
		this.#cached.clear();
		this.#contents.fill(null);
		this.#byHash.clear();
		this.#onChange({ type: "cleared" });
	}

	#evictOldest(removed: bigint[]): number {
		const block: number = this.#cached.keys().next().value!;
		this.#cached.delete(block);
		const { blockHash } = this.#contents[block]!;
		this.#contents[block] = null;
		this.#byHash.delete(blockHash);
		removed.push(blockHash);
		return block;
	}
}
