// SPDX-License-Identifier: Apache-2.0
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";

/** Tokens of KV blocks by their hash, as many as were seen last. Blocks of requests with a cache salt are not known here. */
export class TokenMemory {
	readonly #blocks = new Map<bigint, Uint32Array>();
	readonly #hasher: BlockHasher;
	readonly #capacity: number;

	private constructor(hasher: BlockHasher, capacity: number) {
		this.#hasher = hasher;
		this.#capacity = capacity;
	}

	/** @param capacity blocks */
	static async create(capacity: number): Promise<TokenMemory> {
		return new TokenMemory(await createBlockHasher(), capacity);
	}

	add(tokens: Uint32Array): void {
		const hash = this.#hasher.blockHash(tokens);
		this.#blocks.delete(hash);
		this.#blocks.set(hash, tokens);
		if (this.#blocks.size > this.#capacity) this.#blocks.delete(this.#blocks.keys().next().value!);
	}

	/** @param tokensHash `StoredBlock.tokensHash` */
	get(tokensHash: bigint): Uint32Array | undefined {
		return this.#blocks.get(tokensHash);
	}
}
