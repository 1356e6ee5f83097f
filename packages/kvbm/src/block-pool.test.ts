// SPDX-License-Identifier: Apache-2.0
import type { KvEventData, StoredBlock } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { BlockPool } from "./block-pool.js";

const content = (...hashes: number[]): StoredBlock[] =>
	hashes.map((hash) => ({ blockHash: BigInt(hash), tokensHash: BigInt(hash + 1000) }));

function recorded(totalBlocks: number): { pool: BlockPool; changes: KvEventData[] } {
	const changes: KvEventData[] = [];
	return { pool: new BlockPool(totalBlocks, (change) => changes.push(change)), changes };
}

describe("BlockPool", () => {
	it("hands out each block once and refuses more than it has, changing nothing", () => {
		const pool = new BlockPool(3);
		expect(new Set(pool.allocate(2))).toHaveLength(2);
		expect(pool.allocate(2)).toBeNull();
		expect(pool.stats).toEqual({ total: 3, active: 2, cached: 0, free: 1 });
	});

	it("finds a released prefix again, and only as far as it is known", () => {
		const pool = new BlockPool(4);
		const blocks = pool.allocate(3)!;
		expect(pool.commit(blocks.slice(0, 2), content(1, 2), null)).toEqual(blocks.slice(0, 2));
		pool.release(blocks);
		expect(pool.stats).toMatchObject({ active: 0, cached: 2, free: 2 });
		expect(pool.matchPrefix([1n, 2n, 3n])).toEqual(blocks.slice(0, 2));
		expect(pool.matchPrefix([9n, 1n])).toEqual([]);
		pool.hold(blocks.slice(0, 2));
		expect(pool.stats).toMatchObject({ active: 2, cached: 0 });
	});

	it("evicts the end of the oldest sequence first and says so", () => {
		const { pool, changes } = recorded(4);
		const first = pool.allocate(2)!;
		pool.commit(first, content(1, 2), null);
		const second = pool.allocate(2)!;
		pool.commit([second[0]!], content(3), null);
		pool.release(first);
		pool.release(second);
		expect(pool.allocate(2)).toEqual([second[1], first[1]]); // the block without content, then the oldest end
		expect(changes.at(-1)).toEqual({ type: "removed", blockHashes: [2n] });
		expect(pool.matchPrefix([1n, 2n])).toEqual([first[0]]);
	});

	it("tells of a run of new blocks at once, with its parent", () => {
		const { pool, changes } = recorded(4);
		const blocks = pool.allocate(3)!;
		pool.commit(blocks.slice(0, 1), content(1), null);
		pool.commit(blocks.slice(1), content(2, 3), 1n);
		expect(changes).toEqual([
			{ type: "stored", parentHash: null, blocks: content(1) },
			{ type: "stored", parentHash: 1n, blocks: content(2, 3) },
		]);
	});

	it("keeps equal content once: the later holder moves to the first copy", () => {
		const { pool, changes } = recorded(4);
		const first = pool.allocate(1)!;
		pool.commit(first, content(1), null);
		const second = pool.allocate(2)!;
		expect(pool.commit(second, content(1, 2), null)).toEqual([first[0], second[1]]);
		expect(changes.at(-1)).toEqual({ type: "stored", parentHash: 1n, blocks: content(2) });
		expect(pool.stats).toMatchObject({ active: 2, cached: 0, free: 2 });
		pool.release(first); // the second holder keeps it
		expect(pool.stats).toMatchObject({ active: 2 });
		pool.release([first[0]!, second[1]!]);
		expect(pool.stats).toMatchObject({ active: 0, cached: 2 });
	});

	it("does not lose a shared block while one holder is left", () => {
		const pool = new BlockPool(1);
		const blocks = pool.allocate(1)!;
		pool.commit(blocks, content(1), null);
		pool.hold(blocks);
		pool.release(blocks);
		expect(pool.allocate(1)).toBeNull();
		pool.release(blocks);
		expect(pool.allocate(1)).toEqual(blocks);
	});

	it("refuses a double release, a commit of an unheld or known block and a share of an empty one", () => {
		const pool = new BlockPool(2);
		const blocks = pool.allocate(1)!;
		pool.release(blocks);
		expect(() => pool.release(blocks)).toThrow(RangeError);
		expect(() => pool.release([7])).toThrow(RangeError);
		expect(() => pool.commit(blocks, content(1), null)).toThrow(RangeError);
		expect(() => pool.hold(blocks)).toThrow(RangeError);
		const again = pool.allocate(1)!;
		pool.commit(again, content(1), null);
		expect(() => pool.commit(again, content(2), null)).toThrow(RangeError);
		expect(pool.stats).toMatchObject({ active: 1, free: 1 });
	});

	it("forgets everything on clear, but takes nothing from holders", () => {
		const { pool, changes } = recorded(3);
		const held = pool.allocate(2)!;
		pool.commit(held.slice(0, 1), content(1), null);
		const cached = pool.allocate(1)!;
		pool.commit(cached, content(3), null);
		pool.release(cached);
		pool.clear();
		expect(pool.matchPrefix([1n])).toEqual([]);
		expect(pool.stats).toEqual({ total: 3, active: 2, cached: 0, free: 1 });
		// Its predecessor cannot be found any more, so neither can this one: no event names an unknown parent.
		expect(pool.commit(held.slice(1), content(2), 1n)).toEqual(held.slice(1));
		expect(changes.at(-1)).toEqual({ type: "cleared" });
		pool.release(held);
		expect(pool.stats.free).toBe(3);
	});
});

/** The same rules without any cleverness: what is held, by how many, and what is kept in which order. */
class NaivePool {
	free: number;
	readonly held = new Map<string, number>();
	cached: string[] = [];
	constructor(total: number) {
		this.free = total;
	}
	/** Hashes that must be evicted for `count` blocks; null if there are not enough. */
	take(count: number): string[] | null {
		if (count > this.free + this.cached.length) return null;
		const evicted = this.cached.slice(0, Math.max(0, count - this.free));
		this.cached = this.cached.slice(evicted.length);
		this.free = Math.max(0, this.free - count);
		return evicted;
	}
	hold(hash: string): void {
		this.cached = this.cached.filter((other) => other !== hash);
		this.held.set(hash, (this.held.get(hash) ?? 0) + 1);
	}
	release(hash: string): void {
		const left = this.held.get(hash)! - 1;
		if (left > 0) this.held.set(hash, left);
		else {
			this.held.delete(hash);
			this.cached.push(hash);
		}
	}
	knows(hash: string): boolean {
		return this.held.has(hash) || this.cached.includes(hash);
	}
}

describe("BlockPool over random sequences", () => {
	it.each([1, 2, 3, 4])(
		"agrees with the naive model, and its events replay to its content (seed %i)",
		(seed) => {
			let state = seed * 7919;
			const random = (limit: number) => {
				state = (Math.imul(state, 1103515245) + 12345) >>> 0;
				return (state >>> 8) % limit;
			};
			const TOTAL = 16;
			const model = new NaivePool(TOTAL);
			const replayed = new Set<bigint>();
			let evicted: string[] = [];
			const pool = new BlockPool(TOTAL, (change) => {
				if (change.type === "cleared") replayed.clear();
				else if (change.type === "removed") {
					for (const hash of change.blockHashes) expect(replayed.delete(hash)).toBe(true);
					evicted = change.blockHashes.map(String);
				} else {
					expect(change.parentHash === null || replayed.has(change.parentHash)).toBe(true);
					for (const { blockHash } of change.blocks) {
						expect(replayed.has(blockHash)).toBe(false);
						replayed.add(blockHash);
					}
				}
			});
			// A sequence is a path in a tree of three branches per level: its hash is the path, read as a number.
			const live: { path: number[]; blocks: number[]; full: number }[] = [];
			const hashes = (path: readonly number[]) => path.map((_, i) => Number(path.slice(0, i + 1).join("")));
			const seen = { evictions: 0, moves: 0, refusals: 0 };
			for (let step = 0; step < 3000; step++) {
				const sequence = random(3) > 0 ? live[random(live.length)] : undefined;
				if (!sequence) {
					const path = Array.from({ length: 1 + random(5) }, () => 1 + random(3));
					const known = hashes(path).map(String);
					const prefix = pool.matchPrefix(known.map(BigInt));
					const expected = known.findIndex((hash) => !model.knows(hash));
					expect(prefix.length).toBe(expected === -1 ? path.length : expected);
					pool.hold(prefix);
					for (const hash of known.slice(0, prefix.length)) model.hold(hash);
					evicted = [];
					const fresh = pool.allocate(path.length - prefix.length);
					const gone = model.take(path.length - prefix.length);
					expect(evicted).toEqual(gone ?? []);
					seen.evictions += evicted.length;
					if (!fresh || !gone) {
						expect([fresh, gone]).toEqual([null, null]);
						seen.refusals++;
						pool.release(prefix);
						for (const hash of known.slice(0, prefix.length).reverse()) model.release(hash);
					} else live.push({ path, blocks: [...prefix, ...fresh], full: prefix.length });
				} else if (sequence.full < sequence.path.length && random(3) > 0) {
					const end = sequence.full + 1 + random(sequence.path.length - sequence.full);
					const known = hashes(sequence.path);
					const own = sequence.blocks.slice(sequence.full, end);
					const now = pool.commit(
						own,
						content(...known.slice(sequence.full, end)),
						sequence.full === 0 ? null : BigInt(known[sequence.full - 1]!),
					);
					sequence.blocks.splice(sequence.full, now.length, ...now);
					for (const [i, hash] of known.slice(sequence.full, end).map(String).entries()) {
						if (model.knows(hash)) {
							model.free++;
							seen.moves++;
							expect(now[i]).not.toBe(own[i]);
						} else expect(now[i]).toBe(own[i]);
						model.hold(hash);
					}
					sequence.full = end;
				} else {
					live.splice(live.indexOf(sequence), 1);
					pool.release(sequence.blocks);
					model.free += sequence.path.length - sequence.full;
					for (const hash of hashes(sequence.path).slice(0, sequence.full).reverse())
						model.release(String(hash));
				}
				const { active, cached, free } = pool.stats;
				expect([cached, free]).toEqual([model.cached.length, model.free]);
				expect(active).toBe(new Set(live.flatMap(({ blocks }) => blocks)).size);
				expect(replayed.size).toBe(model.held.size + model.cached.length);
			}
			expect(Math.min(seen.evictions, seen.moves, seen.refusals)).toBeGreaterThan(20);
			for (const { blocks } of live) pool.release(blocks);
			expect(pool.stats.active).toBe(0);
		},
	);
});
