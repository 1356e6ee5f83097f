// SPDX-License-Identifier: Apache-2.0

/** A block as the engine tells of it. */
export interface EngineBlock {
	/** Opaque: the engine's algorithm is its own business. Null when it could not say. */
	readonly hash: bigint | null;
	/** Token ids; fewer than a block has while it is not full. Null for one that has more in it than text. */
	readonly tokens: readonly number[] | null;
}

export type EngineEventData =
	/** The cache came to be; one per attention window. */
	| { readonly type: "created" }
	| {
			readonly type: "stored";
			readonly parentHash: bigint | null;
			readonly blocks: readonly EngineBlock[];
			readonly loraName: string | null;
			readonly cacheSalt: string | null;
	  }
	| { readonly type: "removed"; readonly hashes: readonly bigint[] }
	| { readonly type: "cleared" }
	/** A block moved between tiers or changed its priority: it is still there. */
	| { readonly type: "updated" };

/** A KV event in the engine's words, whatever it came over. */
export interface EngineEvent {
	/** Attention window of the layers that it concerns, tokens; null when the engine does not say. */
	readonly windowSize: number | null;
	/** Cache group and kind of attention (vLLM's names) of those layers; null when the engine does not say. */
	readonly group: number | null;
	readonly attentionKind: string | null;
	/** How hashes are made, by TensorRT-LLM's names; null when the engine does not say. */
	readonly hashAlgorithm: string | null;
	/** False for what is not in the memory of this engine's own devices. */
	readonly isOnDevice: boolean;
	readonly data: EngineEventData;
}

/**
 * A hash of either sign, in hex or in bytes, as the u64 that stands for it. Longer ones count with their first 8 bytes,
 * big-endian, as TensorRT-LLM shortens its own. Null for anything else.
 */
export function engineHash(value: unknown): bigint | null {
	if (typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value)))
		return BigInt.asUintN(64, BigInt(value));
	if (typeof value === "string" && /^(?:[0-9a-f]{2}){8,}$/i.test(value))
		return BigInt(`0x${value.slice(0, 16)}`);
	if (value instanceof Uint8Array && value.length >= 8)
		return new DataView(value.buffer, value.byteOffset).getBigUint64(0);
	return null;
}

/** Token ids, or null when one of them is none: media have digests in their place. */
export function tokenIds(values: readonly unknown[]): readonly number[] | null {
	return values.every(isTokenId) ? values : null;
}

function isTokenId(value: unknown): value is number {
	return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff;
}
