// SPDX-License-Identifier: Apache-2.0
import type { KvEventData } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { BlockPool } from "./block-pool.js";

const content = (hash: number, parent: number | null = null) => ({
	blockHash: BigInt(hash),
	tokensHash: BigInt(hash + 1000),
	parentHash: parent === null ? null : BigInt(parent),
});

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
		pool.commit(blocks[0]!, content(1));
		pool.commit(blocks[1]!, content(2, 1));
		pool.release(blocks);
		expect(pool.stats).toMatchObject({ active: 0, cached: 2, free: 2 });
		expect(pool.matchPrefix([1n, 2n, 3n])).toEqual(blocks.slice(0, 2));
		expect(pool.matchPrefix([9n, 1n])).toEqual([]);
		pool.hold(blocks.slice(0, 2));
		expect(pool.stats).toMatchObject({ active: 2, cached: 0 });
	});

	it("evicts the end of the oldest sequence first and says so", () => {
		const changes: KvEventData[] = [];
		const pool = new BlockPool(4, (change) => changes.push(change));
		const first = pool.allocate(2)!;
		pool.commit(first[0]!, content(1));
		pool.commit(first[1]!, content(2, 1));
		const second = pool.allocate(2)!;
		pool.commit(second[0]!, content(3));
		pool.release(first);
		pool.release(second);
		expect(pool.allocate(2)).toEqual([second[1], first[1]]); // the block without content, then the oldest end
		expect(changes.at(-1)).toEqual({ type: "removed", blockHashes: [2n] });
		expect(pool.matchPrefix([1n, 2n])).toEqual([first[0]]);
	});

	it("keeps a second copy of known content private", () => {
		const changes: KvEventData[] = [];
		const pool = new BlockPool(2, (change) => changes.push(change));
		const [one, two] = pool.allocate(2)! as [number, number];
		pool.commit(one, content(1));
		pool.commit(two, content(1));
		pool.release([two]);
		expect(pool.stats).toMatchObject({ active: 1, cached: 0, free: 1 });
		expect(changes).toHaveLength(1);
	});

	it("does not lose a shared block while one holder is left", () => {
		const pool = new BlockPool(1);
		const blocks = pool.allocate(1)!;
		pool.commit(blocks[0]!, content(1));
		pool.hold(blocks);
		pool.release(blocks);
		expect(pool.allocate(1)).toBeNull();
		pool.release(blocks);
		expect(pool.allocate(1)).toEqual(blocks);
	});

	it("refuses a double release, a commit of an unheld block and a share of an empty one", () => {
		const pool = new BlockPool(1);
		const blocks = pool.allocate(1)!;
		pool.release(blocks);
		expect(() => pool.release(blocks)).toThrow(RangeError);
		expect(() => pool.commit(blocks[0]!, content(1))).toThrow(RangeError);
		expect(() => pool.hold(blocks)).toThrow(RangeError);
		expect(pool.stats.free).toBe(1);
	});

	it("forgets everything on clear, but takes nothing from holders", () => {
		const pool = new BlockPool(2);
		const held = pool.allocate(1)!;
		pool.commit(held[0]!, content(1));
		const cached = pool.allocate(1)!;
		pool.commit(cached[0]!, content(2));
		pool.release(cached);
		pool.clear();
		expect(pool.matchPrefix([1n])).toEqual([]);
		expect(pool.stats).toEqual({ total: 2, active: 1, cached: 0, free: 1 });
		pool.release(held);
		expect(pool.stats.free).toBe(2);
	});

	it("never leaks, and its events replay to what it can find, over random use", () => {
		let state = 12345;
		const random = (limit: number) => {
			state = (Math.imul(state, 1103515245) + 12345) >>> 0;
			return (state >>> 8) % limit;
		};
		const known = new Set<bigint>();
		const pool = new BlockPool(16, (change) => {
			if (change.type === "stored") for (const { blockHash } of change.blocks) known.add(blockHash);
			else if (change.type === "removed")
				for (const hash of change.blockHashes) expect(known.delete(hash)).toBe(true);
			else known.clear();
		});
		const held: number[][] = [];
		for (let step = 0; step < 20_000; step++) {
			const action = random(10);
			if (action < 5) {
				const hash = random(40) + 1;
				const shared = pool.matchPrefix([BigInt(hash)]);
				if (shared.length > 0) {
					pool.hold(shared);
					held.push(shared);
				} else {
					const fresh = pool.allocate(1 + random(2));
					if (fresh) {
						if (random(2)) pool.commit(fresh[0]!, content(hash));
						held.push(fresh);
					}
				}
			} else if (action < 9) {
				const [blocks] = held.splice(random(Math.max(1, held.length)), 1);
				if (blocks) pool.release(blocks);
			} else if (random(50) === 0) pool.clear();
			const { total, active, cached, free } = pool.stats;
			expect(active + cached + free).toBe(total);
			expect(active).toBe(new Set(held.flat()).size);
		}
		for (let hash = 1n; hash <= 40n; hash++)
			expect(pool.matchPrefix([hash]).length === 1).toBe(known.has(hash));
		for (const blocks of held) pool.release(blocks);
		expect(pool.stats.active).toBe(0);
	});
});
