// SPDX-License-Identifier: Apache-2.0
import type { BlockHasher } from "./block-hasher.js";

/** A complete block of a sequence. */
export interface TokenBlock {
	/** Of its tokens alone. */
	readonly blockHash: bigint;
	/** Of its tokens and all before them. */
	readonly sequenceHash: bigint;
}

/** Hashes a growing sequence of tokens block by block: a prompt at once, then generated tokens as they come. */
export class TokenBlockSequence {
	readonly #hasher: BlockHasher;
	readonly #blocks: TokenBlock[] = [];
	readonly #open: Uint32Array;
	#filled = 0;

	/**
	 * @param blockSize tokens per block, as the engine's KV cache has it
	 * @throws RangeError when `blockSize` is not a positive integer.
	 */
	constructor(hasher: BlockHasher, blockSize: number) {
		if (!Number.isSafeInteger(blockSize) || blockSize < 1)
			throw new RangeError(`blockSize must be a positive integer, got ${blockSize}`);
		this.#hasher = hasher;
		this.#open = new Uint32Array(blockSize);
	}

	/** The complete blocks, in order. */
	get blocks(): readonly TokenBlock[] {
		return this.#blocks;
	}

	/** Tokens so far. */
	get length(): number {
		return this.#blocks.length * this.#open.length + this.#filled;
	}

	/** Adds tokens and returns the blocks that they completed. */
	append(tokens: Iterable<number>): readonly TokenBlock[] {
		const before = this.#blocks.length;
		for (const token of tokens) {
			this.#open[this.#filled++] = token;
			if (this.#filled < this.#open.length) continue;
			const blockHash = this.#hasher.blockHash(this.#open);
			const parent = this.#blocks.at(-1)?.sequenceHash ?? null;
			this.#blocks.push({ blockHash, sequenceHash: this.#hasher.sequenceHash(parent, blockHash) });
			this.#filled = 0;
		}
		return this.#blocks.slice(before);
	}
}
