// SPDX-License-Identifier: Apache-2.0
import { createXXHash3 } from "hash-wasm";

/** Seed of block and chain hashes (Dynamo: `XXH3_SEED`). */
export const HASH_SEED = 1337;

/** What makes equal tokens different content: absent or empty adds nothing. */
export interface BlockScope {
	readonly loraName?: string | null | undefined;
	readonly cacheSalt?: string | null | undefined;
}

/** XXH3-64 over token blocks, as Dynamo's router computes it. */
export interface BlockHasher {
	/** Identifies the tokens of one block alone: XXH3-64 of the ids as u32 little-endian. */
	blockHash(tokens: Uint32Array): bigint;
	/** Identifies a block and all before it: the block hash itself for the first, else XXH3-64 of LE64(parent), LE64(block hash), seed 1337. */
	sequenceHash(parent: bigint | null, blockHash: bigint): bigint;
}

type Hasher = Awaited<ReturnType<typeof createXXHash3>>;

/**
 * A hasher for one scope. The scope changes the seed of block hashes, never that of the chain:
 * 1337 + XXH3(loraName, seed 0) + XXH3(cacheSalt, seed 1), wrapping at 64 bits.
 */
export async function createBlockHasher(scope: BlockScope = {}): Promise<BlockHasher> {
	const chain = await createXXHash3(HASH_SEED, 0);
	const seed = await seedOf(scope);
	const block =
		seed === BigInt(HASH_SEED)
			? chain
			: await createXXHash3(Number(seed & 0xffff_ffffn), Number(seed >> 32n));
	const pair = new BigUint64Array(2);
	const pairBytes = new Uint8Array(pair.buffer);
	return {
		blockHash: (tokens) => digest(block, new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)),
		sequenceHash(parent, blockHash) {
			if (parent === null) return blockHash;
			pair[0] = parent;
			pair[1] = blockHash;
			return digest(chain, pairBytes);
		},
	};
}

async function seedOf({ loraName, cacheSalt }: BlockScope): Promise<bigint> {
	let seed = BigInt(HASH_SEED);
	const add = async (text: string, textSeed: number) => {
		seed += digest(await createXXHash3(textSeed, 0), new TextEncoder().encode(text));
	};
	if (loraName) await add(loraName, 0);
	if (cacheSalt) await add(cacheSalt, 1);
	return BigInt.asUintN(64, seed);
}

function digest(hasher: Hasher, bytes: Uint8Array): bigint {
	return BigInt(`0x${hasher.init().update(bytes).digest("hex")}`);
}
