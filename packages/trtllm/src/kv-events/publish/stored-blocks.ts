// SPDX-License-Identifier: Apache-2.0
import type { KvEventData, StoredBlock } from "@dyn/protocols";

/** Most blocks of one event of a dump (Dynamo's cap for coalesced events). */
const DUMP_BLOCKS = 128;

interface Entry {
	readonly parent: bigint | null;
	readonly block: StoredBlock;
	/** How many times it was stored and not yet removed: engines keep a block in several pools. */
	count: number;
}

/** What one rank's KV cache holds by its events, to tell a router that missed them. */
export class StoredBlocks {
	readonly #entries = new Map<bigint, Entry>();

	get size(): number {
		return this.#entries.size;
	}

	/** Takes an event in. @returns what routers shall hear of it; null when it changes nothing for them or contradicts itself */
	apply(data: KvEventData): KvEventData | null {
		switch (data.type) {
			case "stored":
				return this.#store(data.parentHash, data.blocks) ? data : null;
			case "removed": {
				const blockHashes = data.blockHashes.filter((hash) => this.#remove(hash));
				return blockHashes.length > 0 ? { type: "removed", blockHashes } : null;
			}
			case "cleared":
				this.#entries.clear();
				return data;
		}
	}

	/**
	 * Everything that can be reached from the beginning of a sequence, parents before children. A block whose parent is gone
	 * cannot be found by a prefix, and is left out.
	 */
	*dump(): Generator<KvEventData> {
		const children = new Map<bigint | null, bigint[]>();
		for (const [hash, { parent }] of this.#entries) {
			const siblings = children.get(parent);
			if (siblings) siblings.push(hash);
			else children.set(parent, [hash]);
		}
		const open = [...(children.get(null) ?? [])].reverse();
		for (let first = open.pop(); first !== undefined; first = open.pop()) {
			const blocks: StoredBlock[] = [];
			let last: bigint | null = first;
			while (last !== null) {
				blocks.push(this.#entries.get(last)!.block);
				const next: readonly bigint[] = children.get(last) ?? [];
				last = next.length === 1 && blocks.length < DUMP_BLOCKS ? next[0]! : null;
				if (last === null) for (let i = next.length - 1; i >= 0; i--) open.push(next[i]!);
			}
			yield { type: "stored", parentHash: this.#entries.get(first)!.parent, blocks };
		}
	}

	#store(parentHash: bigint | null, blocks: readonly StoredBlock[]): boolean {
		// A block that comes after itself would be a loop to whoever walks the chain.
		const chain = [...(parentHash === null ? [] : [parentHash]), ...blocks.map(({ blockHash }) => blockHash)];
		if (blocks.length === 0 || new Set(chain).size < chain.length) return false;
		let parent = parentHash;
		for (const block of blocks) {
			const known = this.#entries.get(block.blockHash);
			this.#entries.set(block.blockHash, { parent, block, count: (known?.count ?? 0) + 1 });
			parent = block.blockHash;
		}
		return true;
	}

	/** Whether nothing holds the block any more. True for one that is not known: routers may know it from before. */
	#remove(hash: bigint): boolean {
		const entry = this.#entries.get(hash);
		if (entry && --entry.count > 0) return false;
		this.#entries.delete(hash);
		return true;
	}
}
