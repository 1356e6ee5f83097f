// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createBlockHasher } from "./block-hasher.js";
import { TokenBlockSequence } from "./token-block-sequence.js";

const hasher = await createBlockHasher();
const tokens = Array.from({ length: 14 }, (_, i) => i + 1);
// Dynamo's lib/tokens tests: [1..4], [5..8], [9..12].
const blocks = [
	{ blockHash: 14643705804678351452n, sequenceHash: 14643705804678351452n },
	{ blockHash: 16777012769546811212n, sequenceHash: 4945711292740353085n },
	{ blockHash: 483935686894639516n, sequenceHash: 12583592247330656132n },
];

describe("TokenBlockSequence", () => {
	it("chains the blocks of a prompt and leaves the rest open", () => {
		const sequence = new TokenBlockSequence(hasher, 4);
		expect(sequence.append(tokens)).toEqual(blocks);
		expect(sequence.blocks).toEqual(blocks);
		expect(sequence.length).toBe(14);
	});

	it.each([1, 3, 4, 5])("is the same in pieces of %i, each returning what it completed", (size) => {
		const sequence = new TokenBlockSequence(hasher, 4);
		const completed = [];
		for (let at = 0; at < tokens.length; at += size) {
			completed.push(...sequence.append(Uint32Array.from(tokens.slice(at, at + size))));
			expect(sequence.blocks).toHaveLength(Math.floor(sequence.length / 4));
		}
		expect(completed).toEqual(blocks);
	});

	it.each([0, -4, 1.5, Number.NaN])("refuses blocks of %d tokens", (blockSize) => {
		expect(() => new TokenBlockSequence(hasher, blockSize)).toThrow(/blockSize must be a positive integer/);
	});
});
