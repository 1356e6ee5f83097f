// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createBlockHasher } from "./block-hasher.js";

const ids = (...list: number[]) => Uint32Array.from(list);
const range = (count: number) => Uint32Array.from({ length: count }, (_, i) => i);

// Vectors: Dynamo's lib/tokens and lib/kv-router tests, and the Python package xxhash.
describe("block hashes", () => {
	it("equal Dynamo's for 4-token blocks, and chain to its sequence hashes", async () => {
		const hasher = await createBlockHasher();
		const blocks = [ids(1, 2, 3, 4), ids(5, 6, 7, 8), ids(9, 10, 11, 12)].map((block) =>
			hasher.blockHash(block),
		);
		expect(blocks).toEqual([14643705804678351452n, 16777012769546811212n, 483935686894639516n]);
		let parent: bigint | null = null;
		const chain = blocks.map((block) => (parent = hasher.sequenceHash(parent, block)));
		expect(chain).toEqual([14643705804678351452n, 4945711292740353085n, 12583592247330656132n]);
	});

	it.each([
		[16, 15310707395893867146n],
		[32, 5756925433886871916n],
		[64, 3480597578098033343n],
	])("equal the reference for the block of %i ascending ids", async (count, expected) => {
		expect((await createBlockHasher()).blockHash(range(count))).toBe(expected);
	});

	it.each([
		[{}, 9143094415614847814n],
		[{ loraName: "adapter-a" }, 6665157333201000639n],
		[{ cacheSalt: "tenant-a" }, 17009624042690211646n],
		[{ loraName: "adapter-a", cacheSalt: "tenant-a" }, 8269515957840517240n],
		[{ loraName: "", cacheSalt: null }, 9143094415614847814n],
	])("depend on the scope %j", async (scope, expected) => {
		expect((await createBlockHasher(scope)).blockHash(range(4))).toBe(expected);
	});

	it("hash a view of a larger array by its own tokens only", async () => {
		const hasher = await createBlockHasher();
		expect(hasher.blockHash(ids(0, 1, 2, 3, 4, 9).subarray(1, 5))).toBe(14643705804678351452n);
	});
});
