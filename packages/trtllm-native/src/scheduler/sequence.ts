// SPDX-License-Identifier: Apache-2.0
import type { BlockHasher } from "@dyn/tokens";
import { TokenBuffer } from "./token-buffer.js";

export interface SequenceOptions {
	readonly prompt: readonly number[] | Uint32Array;
	/** How many of the prompt's last tokens another instance generated. Default 0. */
	readonly resumed?: number;
	readonly priority: number;
	readonly hasher: BlockHasher;
	/** A sequence with the same prompt whose blocks this one will share: it waits until that prompt is computed. */
	readonly leader?: Sequence;
	/** Whether the last row's logits go through JavaScript before a token is chosen. */
	readonly processed: boolean;
	/** Id of the LoRA adapter that it is computed with. Default 0: none. */
	readonly adapter?: number;
	/** For embeddings: whose hidden states are wanted, the last token's or all of them. Default "none". */
	readonly hidden?: "none" | "last" | "all";
}

/** One choice of one request, as the scheduler sees it. */
export class Sequence {
	readonly tokens: TokenBuffer;
	readonly promptLength: number;
	readonly #resumed: number;
	readonly priority: number;
	readonly processed: boolean;
	readonly hidden: "none" | "last" | "all";
	readonly adapter: number;
	readonly hasher: BlockHasher;
	readonly #leader: Sequence | null;
	/** Position in the order of arrival; set by the scheduler. */
	arrival = 0;
	/** Sampler slot while running, -1 while waiting. */
	slot = -1;
	/** Tokens whose keys and values are in `blocks`. */
	computed = 0;
	/** Whether every token of the prompt is still to be computed, because its logits are wanted. */
	unscored = false;
	/** Whether it ever had a slot. */
	admitted = false;
	/** Tokens that were found in the cache when the sequence was first admitted. */
	cached = 0;
	finished = false;
	/** Whether it waits for something else than its turn: it keeps what it has and is left out of plans. */
	held = false;
	blocks: number[] = [];
	readonly #hashes: { readonly tokens: bigint; readonly sequence: bigint }[] = [];

	constructor(options: SequenceOptions) {
		this.tokens = new TokenBuffer(options.prompt);
		this.promptLength = options.prompt.length;
		this.#resumed = options.resumed ?? 0;
		this.priority = options.priority;
		this.processed = options.processed;
		this.hidden = options.hidden ?? "none";
		this.adapter = options.adapter ?? 0;
		this.hasher = options.hasher;
		this.#leader = options.leader ?? null;
	}

	get generated(): number {
		return this.tokens.length - this.promptLength;
	}

	/** Tokens of the answer, with those that another instance generated. */
	get answered(): number {
		return this.generated + this.#resumed;
	}

	/** Tokens still to be computed before the next one can be chosen; 1 while decoding. */
	get pending(): number {
		return this.tokens.length - this.computed;
	}

	/** Tokens that need not be computed when their blocks are cached: all but the last, whose row is needed; none when every row is. */
	get reusable(): number {
		return this.hidden === "all" || this.unscored ? 0 : this.tokens.length - 1;
	}

	/** False while the leader's prompt is not in the cache yet. */
	get ready(): boolean {
		return (
			this.#leader === null || this.#leader.finished || this.#leader.computed >= this.#leader.promptLength
		);
	}

	/** Hashes of the first `count` full blocks. */
	hashes(
		count: number,
		blockSize: number,
	): readonly { readonly tokens: bigint; readonly sequence: bigint }[] {
		while (this.#hashes.length < count) {
			const index = this.#hashes.length;
			const tokens = this.hasher.blockHash(this.tokens.view(index * blockSize, (index + 1) * blockSize));
			this.#hashes.push({
				tokens,
				sequence: this.hasher.sequenceHash(this.#hashes[index - 1]?.sequence ?? null, tokens),
			});
		}
		return count === this.#hashes.length ? this.#hashes : this.#hashes.slice(0, count);
	}
}
