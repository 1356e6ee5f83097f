// SPDX-License-Identifier: Apache-2.0
// Everything that Dynamo's router crate hashed for us must come out the same here.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { blockSeed, createBlockHasher } from "./block-hasher.js";

interface GoldenBlocks {
	readonly block_size: number;
	readonly tokens: { range?: number[]; fill?: number[]; lcg?: number[] };
	readonly lora_name?: string;
	readonly cache_salt?: string;
	/** Windows of one token more than the block, at the stride of the block. */
	readonly is_eagle?: boolean;
	readonly mm_hashes?: string[][];
	/** Small cases list every hash; long ones only how many there are, their xors and the last. */
	readonly local?: string[];
	readonly sequence?: string[];
	readonly blocks?: number;
	readonly local_xor?: string;
	readonly sequence_xor?: string;
	readonly sequence_last?: string;
}

const golden = read("hashes.json") as {
	readonly salts: { lora_name: string | null; cache_salt: string | null; seed: string }[];
	readonly nextSequenceHash: [string, string, string][];
	readonly blocks: GoldenBlocks[];
};
const xxh3 = read("xxh3.json") as { readonly cases: [number, string][] };

function read(name: string): unknown {
	return JSON.parse(readFileSync(new URL(`./__fixtures__/${name}`, import.meta.url), "utf8"));
}

function tokensOf({ range, fill, lcg }: GoldenBlocks["tokens"]): Uint32Array {
	if (range) return Uint32Array.from({ length: range[1]! }, (_, i) => range[0]! + i);
	if (fill) return new Uint32Array(fill[1]!).fill(fill[0]!);
	let x = lcg![0]!;
	return Uint32Array.from({ length: lcg![1]! }, () => {
		x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
		return x >>> lcg![2]!;
	});
}

describe("dynamo-kv-router's golden values", () => {
	it(`XXH3-64 at ${xxh3.cases.length} lengths`, async () => {
		const hasher = await createBlockHasher();
		for (const [length, expected] of xxh3.cases) {
			const bytes = Uint8Array.from({ length }, (_, i) => i * 31 + 7);
			expect([length, hasher.blockHash(new Uint32Array(bytes.buffer))]).toEqual([length, BigInt(expected)]);
		}
	});

	it.each(golden.salts)("the seed of $lora_name, $cache_salt", async (salt) => {
		expect(await blockSeed({ loraName: salt.lora_name, cacheSalt: salt.cache_salt })).toBe(BigInt(salt.seed));
	});

	it("sequence hashes", async () => {
		const hasher = await createBlockHasher();
		for (const [parent, block, expected] of golden.nextSequenceHash)
			expect(hasher.sequenceHash(BigInt(parent), BigInt(block))).toBe(BigInt(expected));
	});

	it(`${golden.blocks.length} token lists`, async () => {
		for (const each of golden.blocks) {
			const hasher = await createBlockHasher({ loraName: each.lora_name, cacheSalt: each.cache_salt });
			const tokens = tokensOf(each.tokens);
			const window = each.block_size + (each.is_eagle ? 1 : 0);
			const local: bigint[] = [];
			const sequence: bigint[] = [];
			for (let at = 0; at + window <= tokens.length; at += each.block_size) {
				local.push(
					hasher.blockHash(tokens.subarray(at, at + window), each.mm_hashes?.[local.length]?.map(BigInt)),
				);
				sequence.push(hasher.sequenceHash(sequence.at(-1) ?? null, local.at(-1)!));
			}
			const xor = (hashes: bigint[]) => hashes.reduce((sum, hash) => sum ^ hash, 0n);
			if (each.local)
				expect({ ...each, local: local.map(String), sequence: sequence.map(String) }).toEqual(each);
			else {
				expect([local.length, xor(local), xor(sequence), sequence.at(-1)].map(String)).toEqual(
					[each.blocks, each.local_xor, each.sequence_xor, each.sequence_last].map(String),
				);
			}
		}
	});
});
