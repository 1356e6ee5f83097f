// SPDX-License-Identifier: Apache-2.0

export interface StoredBlock {
	/** Sequence hash: identifies the block and everything before it. u64. */
	readonly blockHash: bigint;
	/** Block hash: identifies the tokens of this block alone. u64. */
	readonly tokensHash: bigint;
}

export type KvEventData =
	| { readonly type: "stored"; readonly parentHash: bigint | null; readonly blocks: readonly StoredBlock[] }
	| { readonly type: "removed"; readonly blockHashes: readonly bigint[] }
	| { readonly type: "cleared" };

/** A change of what a rank's KV cache holds. Ids are consecutive per rank, starting at 0: a gap means a loss. */
export interface KvEvent {
	readonly eventId: number;
	readonly dpRank: number;
	readonly data: KvEventData;
}
