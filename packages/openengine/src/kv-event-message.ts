// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { KvEventData } from "@dyn/protocols";
import type { BlockHasher } from "@dyn/tokens";
import * as m from "./generated/messages.js";
import type { MessageInit } from "./message-init.js";

/** Tag of our own key: how a block's tokens hash for routers, from an engine that no longer has the tokens at hand. */
const TOKENS_HASH = "dyn_tokens_hash";

export function toEventMessage(data: KvEventData, blockSize: number): MessageInit<m.KvEvent> {
	switch (data.type) {
		case "cleared":
			return { allBlocksCleared: {} };
		case "removed":
			return {
				blockRemoved: { blockHashes: data.blockHashes.map(hashMessage), medium: m.StorageMedium.GPU },
			};
		case "stored":
			return {
				blockStored: {
					blockHashes: data.blocks.map(({ blockHash }) => hashMessage(blockHash)),
					parentBlockHash: data.parentHash === null ? undefined : hashMessage(data.parentHash),
					blockSize,
					medium: m.StorageMedium.GPU,
					extraKeys: data.blocks.map(({ tokensHash }) => ({ values: [TOKENS_HASH, String(tokensHash)] })),
				},
			};
	}
}

/**
 * Null for an event of another kind or of storage below the GPU's.
 * @throws DynError INVALID_ARGUMENT for a stored block without its tokens
 */
export function fromEventMessage(event: m.KvEvent, hasher: BlockHasher): KvEventData | null {
	const { blockStored, blockRemoved, allBlocksCleared } = event;
	if (allBlocksCleared) return { type: "cleared" };
	if (blockRemoved)
		return isRouted(blockRemoved.medium)
			? { type: "removed", blockHashes: blockRemoved.blockHashes.map(hashOf) }
			: null;
	if (!blockStored || !isRouted(blockStored.medium)) return null;
	const { blockHashes, parentBlockHash, tokenIds, blockSize, extraKeys } = blockStored;
	return {
		type: "stored",
		parentHash: parentBlockHash ? hashOf(parentBlockHash) : null,
		blocks: blockHashes.map((hash, i) => {
			const [tag, text] = extraKeys[i]?.values ?? [];
			if (tag === TOKENS_HASH && text !== undefined)
				return { blockHash: hashOf(hash), tokensHash: BigInt(text) };
			const tokens = tokenIds.slice(i * blockSize, (i + 1) * blockSize);
			if (tokens.length !== blockSize || blockSize === 0)
				throw new DynError(
					"INVALID_ARGUMENT",
					"a stored block came without its tokens; routing cannot use it",
				);
			return { blockHash: hashOf(hash), tokensHash: hasher.blockHash(Uint32Array.from(tokens)) };
		}),
	};
}

/** Routers count blocks that need no load from elsewhere; who says nothing means those. */
function isRouted(medium: m.StorageMedium): boolean {
	return medium === m.StorageMedium.GPU || medium === m.StorageMedium.UNSPECIFIED;
}

function hashMessage(hash: bigint): MessageInit<m.KvBlockHash> {
	const value = new Uint8Array(8);
	new DataView(value.buffer).setBigUint64(0, hash);
	return { value, encoding: "int64" };
}

/** Engines' hashes are opaque: all that matters is that equal ones stay equal. Decimal text, or the first 8 bytes. */
function hashOf({ value, encoding }: m.KvBlockHash): bigint {
	if (encoding === "string") {
		const text = Buffer.from(value).toString();
		if (/^-?\d+$/.test(text)) return BigInt.asUintN(64, BigInt(text));
	}
	let hash = 0n;
	for (const byte of value.subarray(0, 8)) hash = (hash << 8n) | BigInt(byte);
	return hash;
}
