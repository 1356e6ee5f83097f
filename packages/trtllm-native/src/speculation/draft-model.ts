// SPDX-License-Identifier: Apache-2.0
import { BlockPool } from "@dyn/kvbm";
import type { ForwardBackend, StepSequence } from "../backend/forward-backend.js";
import type { Sequence } from "../scheduler/sequence.js";
import type { Drafter, GuessRequest } from "./drafter.js";
import { StepCost } from "./step-cost.js";

export interface DraftModelOptions {
	/** Closed with the drafter. */
	readonly backend: ForwardBackend;
	readonly numKvBlocks: number;
	/** Tokens per KV block. */
	readonly kvBlockSize: number;
	/** Slots of the backend; a sequence that gets none has no guesses. */
	readonly maxSequences: number;
	/** Most rows of a step. */
	readonly maxBatchedTokens: number;
	readonly contextLength: number;
	/** Of the draft model. */
	readonly vocabSize: number;
	/** Of the model that it guesses for. */
	readonly modelVocabSize: number;
}

/** Before anything is known of a sequence, its guesses are as likely wrong as right. */
const DOUBT = 0.5;

/** What the draft model knows of a sequence. */
interface Draft {
	readonly slot: number;
	blocks: number[];
	/** Tokens of the sequence whose keys and values are in `blocks`, and how many of these blocks are declared. */
	computed: number;
	committed: number;
	/** Guesses behind them whose keys and values are there too. */
	ahead: number[];
}

/** A sequence's guesses in the making. */
interface Turn extends GuessRequest {
	readonly draft: Draft;
	readonly guesses: number[];
}

/**
 * Guesses with a smaller model of the same vocabulary, which has KV blocks of its own. It draws with the sequence's own
 * parameters and random numbers: where both models see the same probabilities, they choose the same token.
 */
export class DraftModel implements Drafter {
	readonly isFree = false;
	readonly #options: DraftModelOptions;
	readonly #pool: BlockPool;
	readonly #freeSlots: number[];
	readonly #drafts = new Map<Sequence, Draft>();
	readonly #cost = new StepCost();

	constructor(options: DraftModelOptions) {
		this.#options = options;
		this.#pool = new BlockPool(options.numKvBlocks);
		this.#freeSlots = Array.from({ length: options.maxSequences }, (_, slot) => slot);
	}

	doubts(_: Sequence, limit: number): number[] {
		return new Array<number>(limit).fill(DOUBT);
	}

	guessMs(sequences: readonly Sequence[]): number {
		const shares = sequences.map(({ tokens }) => ({ position: tokens.length, rows: 1 }));
		return this.#cost.stepMs(shares) / shares.length;
	}

	async propose(requests: readonly GuessRequest[]): Promise<Uint32Array[]> {
		const turns = requests.map((request) => this.#begin(request));
		const taken = turns.filter((turn) => turn !== null);
		const { backend, modelVocabSize } = this.#options;
		for (const { sequence, params, draft } of taken)
			backend.openSlot(draft.slot, { ...params, logprobs: -1 }, sequence.tokens.view(), sequence.answered);
		try {
			for (let shares = this.#plan(taken); shares.length > 0; shares = this.#plan(taken)) {
				const { cancelled, sampled, elapsedMs } = await backend.step(shares.map(({ share }) => share));
				if (cancelled) break;
				this.#timed(shares, elapsedMs);
				const chosen = new Map(sampled.map(({ slot, tokenId }) => [slot, tokenId]));
				for (const { turn, share } of shares) book(turn, share, chosen.get(turn.draft.slot));
			}
		} finally {
			for (const { draft } of taken) backend.closeSlot(draft.slot);
		}
		return turns.map((turn) => {
			const unknown = turn?.guesses.findIndex((id) => id >= modelVocabSize) ?? -1;
			return Uint32Array.from(turn?.guesses.slice(0, unknown === -1 ? undefined : unknown) ?? []);
		});
	}

	forget(sequence: Sequence): void {
		const draft = this.#drafts.get(sequence);
		if (!draft) return;
		this.#drafts.delete(sequence);
		this.#pool.release(draft.blocks);
		this.#freeSlots.push(draft.slot);
	}

	async close(): Promise<void> {
		await this.#options.backend.close();
	}

	/** Null when there is no slot, block or position for the sequence, or it has a token that the draft model lacks. */
	#begin(request: GuessRequest): Turn | null {
		const { kvBlockSize: size, contextLength, vocabSize } = this.#options;
		const { sequence } = request;
		const limit = Math.min(request.limit, contextLength - sequence.tokens.length + 1);
		if (limit <= 0) return null;
		const draft = this.#drafts.get(sequence) ?? this.#admit(sequence);
		if (!draft) return null;
		this.#keepWhatCameTrue(sequence, draft);
		if (sequence.tokens.view(draft.computed).some((id) => id >= vocabSize)) return null;
		const missing = Math.ceil((sequence.tokens.length + limit - 1) / size) - draft.blocks.length;
		const blocks = this.#pool.allocate(Math.max(missing, 0));
		if (!blocks) return null;
		draft.blocks.push(...blocks);
		return { ...request, limit, draft, guesses: [] };
	}

	/** With what another sequence computed of the same prompt. */
	#admit(sequence: Sequence): Draft | null {
		const slot = this.#freeSlots.pop();
		if (slot === undefined) return null;
		const size = this.#options.kvBlockSize;
		const reusable = Math.floor((sequence.tokens.length - 1) / size);
		const blocks = this.#pool.matchPrefix(sequence.hashes(reusable, size).map(({ sequence: hash }) => hash));
		this.#pool.hold(blocks);
		const draft = { slot, blocks, computed: blocks.length * size, committed: blocks.length, ahead: [] };
		this.#drafts.set(sequence, draft);
		return draft;
	}

	/** Guesses that were right need not be computed again; the last token always is, for its logits. */
	#keepWhatCameTrue(sequence: Sequence, draft: Draft): void {
		const size = this.#options.kvBlockSize;
		const tokens = sequence.tokens.view();
		for (const id of draft.ahead) {
			if (draft.computed >= tokens.length - 1 || tokens[draft.computed] !== id) break;
			draft.computed++;
		}
		draft.ahead = [];
		draft.computed = Math.min(draft.computed, tokens.length - 1);
		const { committed } = draft;
		const full = Math.floor(draft.computed / size);
		if (full <= committed) return;
		const hashes = sequence.hashes(full, size);
		const blocks = this.#pool.commit(
			draft.blocks.slice(committed, full),
			hashes
				.slice(committed)
				.map(({ tokens: hash, sequence: chain }) => ({ blockHash: chain, tokensHash: hash })),
			hashes[committed - 1]?.sequence ?? null,
		);
		draft.blocks.splice(committed, blocks.length, ...blocks);
		draft.committed = full;
	}

	/** Steps that guess, or take in what the model said to the last guesses, are alike; prompts are not. */
	#timed(shares: readonly { readonly turn: Turn; readonly share: StepSequence }[], elapsedMs: number): void {
		if (shares.some(({ turn, share }) => share.tokens.length > turn.limit + 1)) return;
		this.#cost.observe(
			shares.map(({ share: { position, tokens } }) => ({ position, rows: tokens.length })),
			elapsedMs,
		);
	}

	/** The next step: what is left of the text, then one guess after the other. */
	#plan(turns: readonly Turn[]): { readonly turn: Turn; readonly share: StepSequence }[] {
		let rows = this.#options.maxBatchedTokens;
		return turns.flatMap((turn) => {
			const { sequence, draft, guesses, limit } = turn;
			if (guesses.length === limit || rows === 0) return [];
			const text = sequence.tokens.view(draft.computed);
			const pending = guesses.length === 0 ? text : Uint32Array.of(guesses.at(-1)!);
			const tokens = pending.subarray(0, rows);
			rows -= tokens.length;
			const share: StepSequence = {
				slot: draft.slot,
				tokens,
				position: draft.computed + draft.ahead.length,
				blocks: Uint32Array.from(draft.blocks),
				output: tokens.length === pending.length ? "sample" : "none",
			};
			return [{ turn, share }];
		});
	}
}

function book({ draft, guesses }: Turn, { tokens }: StepSequence, chosen: number | undefined): void {
	if (guesses.length === 0) draft.computed += tokens.length;
	else draft.ahead.push(guesses.at(-1)!);
	if (chosen !== undefined) guesses.push(chosen);
}
