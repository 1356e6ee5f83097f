// SPDX-License-Identifier: Apache-2.0
import type { AdapterPart } from "../lora/adapter-weights.js";

/**
 * The line between thinking and computing. The scheduler (TypeScript) plans a step; a backend (C++ or the TypeScript
 * reference) runs it. Both implement this interface and pass the same tests.
 */

/**
 * Sampling parameters of one sequence, every default resolved. They apply in this order: repetition penalty (over prompt
 * and output: divides logits above 0, multiplies the others), presence and frequency penalty (over the output:
 * subtracted, the latter once per occurrence), bias, suppression, bad words; then the best id if greedy, else temperature, top-k,
 * top-p of what is left, min-p (relative to the most likely), and one draw. Log-probabilities are those before temperature.
 */
export interface SamplerParams {
	/** 0 = greedy, ties to the lower id. */
	readonly temperature: number;
	/** 0 = all. */
	readonly topK: number;
	/** 1 = off. */
	readonly topP: number;
	/** 0 = off. */
	readonly minP: number;
	readonly presencePenalty: number;
	readonly frequencyPenalty: number;
	/** 1 = off. */
	readonly repetitionPenalty: number;
	/** 64-bit seed as two halves; the k-th generated token is drawn with number k of the seed's sequence (reference/rng.ts), so batch-mates do not matter. */
	readonly seedLow: number;
	readonly seedHigh: number;
	/** Added to the logits of these ids after the penalties. */
	readonly biasIds: Uint32Array;
	readonly biasValues: Float32Array;
	/** Ids that end the sequence: they cannot be chosen while fewer than `minTokens` tokens were generated, and no pass follows one. */
	readonly endIds: Uint32Array;
	readonly minTokens: number;
	/**
	 * Token sequences. Where all but the last of one stand at the end of the context, prompt included, its last cannot be
	 * chosen. None is empty; they must leave a token. Default: none.
	 */
	readonly badWords?: readonly Uint32Array[];
	/** Number of alternatives to report per token, 0..20; -1 = no log-probabilities at all. */
	readonly logprobs: number;
}

/** One sequence's share of a step. */
export interface StepSequence {
	/** Sampler slot, 0..maxSequences-1. */
	readonly slot: number;
	/** Tokens of this sequence to compute in this step: a chunk of the prompt, or the last generated token. */
	readonly tokens: Uint32Array;
	/** Position of `tokens[0]`; everything before it is already in the KV blocks. */
	readonly position: number;
	/** Physical block ids, in order, covering positions 0 .. position + tokens.length - 1. */
	readonly blocks: Uint32Array;
	/**
	 * What to do after the last row of this share. `none`: the prompt goes on in a later step.
	 * `sample`: choose the next token. `logits`: leave the row's logits for JavaScript (processors), which then calls `sampleRows`.
	 * `hidden`: keep the hidden states of all rows of this share, for embeddings.
	 */
	readonly output: "none" | "sample" | "logits" | "hidden";
	/**
	 * How many of the last `tokens` are guesses of what will be sampled; only with `sample`. Default 0. The backend samples
	 * after each row, from the one before the first guess on, up to the first token that is not the guess: 1 to drafts + 1
	 * tokens, the very ones that as many steps without guesses would give. Rows after that are wasted, their KV is stale.
	 */
	readonly drafts?: number;
	/**
	 * `targets[i]` is a token after `tokens[i]`, at most one per token: how likely it is, before any parameter is applied, and
	 * the `top` most likely ones, 0..20. Default: none are asked for.
	 */
	readonly scored?: { readonly targets: Uint32Array; readonly top: number };
	/** Id of a loaded LoRA adapter, whose matrices are added to the model's for these rows. Default 0: none. */
	readonly adapter?: number;
}

export interface SampledToken {
	readonly slot: number;
	readonly tokenId: number;
	/** NaN unless log-probabilities were asked for. */
	readonly logprob: number;
	/** Most likely first, `logprobs` entries (empty for 0 or -1; fewer where a mask leaves fewer). */
	readonly topIds: Uint32Array;
	readonly topLogprobs: Float64Array;
}

/** A row of logits that JavaScript has seen, and from which a token is to be chosen now. */
export interface RowToSample {
	readonly slot: number;
	/**
	 * A bit per token, ceil(vocabSize / 32) words, the lowest bit of the first word first. A token whose bit is 0 cannot be
	 * chosen: applied last, after bias and suppression.
	 */
	readonly mask?: Uint32Array | undefined;
	/**
	 * Whether somebody edited it who may have left nonsense: it is looked through before anything else is done to it. Here
	 * because sampling reads every logit anyway, and a pass of its own in JavaScript is a third of what a processor costs.
	 */
	readonly edited?: boolean | undefined;
}

/**
 * What came of a row. null: mask and bad words leave no token. "unusable": a logit of the `edited` row is NaN or +Infinity, or
 * none is above -Infinity; it is as it was. Either way nothing is recorded.
 */
export type SampledRow = SampledToken | "unusable" | null;

export interface StepResult {
	/** True when `cancelStep` took effect: nothing was sampled and the KV rows of this step are not to be relied on. */
	readonly cancelled: boolean;
	/** In step order; one entry per sequence with output `sample`, several in a row if it had guesses. Those of several passes follow each other. */
	readonly sampled: readonly SampledToken[];
	/** One entry per target, in step order. Absent, or empty, unless the backend `scoresPrompts`. */
	readonly scores?: readonly SampledToken[];
	/** Time in the backend, ms. */
	readonly elapsedMs: number;
}

export interface BackendInfo {
	/** "amx", "avx512", "avx2", "portable" or "reference". */
	readonly isa: string;
	readonly threads: number;
	/** Bytes of packed weights. */
	readonly weightBytes: number;
	/** Bytes of one KV block, all layers, K and V. */
	readonly kvBlockBytes: number;
	/** How values lie in a block. Blocks move only between backends of the same layout and block size. */
	readonly kvLayout: string;
	/** Whether it says how likely the targets of a step are. Default false. */
	readonly scoresPrompts?: boolean;
}

export interface ForwardBackend {
	readonly info: BackendInfo;
	/**
	 * Runs one step: every row of every sequence through the model, KV written to the blocks, then sampling.
	 * Sequences that share blocks only read the shared ones. At most one step at a time.
	 * Rejects with DynError INTERNAL if the engine thread died.
	 * @param passes most times that the model is run, default 1. More are for sequences with one token each and output
	 *   `sample`: every pass computes what the one before chose, at the next position, which `blocks` cover too. No other
	 *   pass follows one that chose the end of a sequence.
	 * @param withinMs after the first, only passes that are expected to end within this time are begun; default Infinity
	 */
	step(sequences: readonly StepSequence[], passes?: number, withinMs?: number): Promise<StepResult>;
	/** Asks the running step to stop between layers; what earlier passes chose is kept. Harmless when none runs. */
	cancelStep(): void;
	/** Asks the running step to end with the pass that runs. Absent: steps have one pass only. */
	yieldStep?(): void;
	/** Binds a slot to a new sequence. `context` = its prompt plus, after a preemption, what was generated; `generated` = how many of those count as output. */
	openSlot(slot: number, params: SamplerParams, context: Uint32Array, generated: number): void;
	/** Frees a slot. */
	closeSlot(slot: number): void;
	/**
	 * Logits of the sequence in `slot` from the last step (output `logits`), vocabSize values, editable in place.
	 * Valid until the next `step` call.
	 */
	logits(slot: number): Float32Array;
	/**
	 * Samples from the `logits` of each row as they are now, applying its slot's parameters; records the tokens as generated.
	 * All rows of a step at once: they are sampled side by side.
	 * @returns one entry per row
	 */
	sampleRows(rows: readonly RowToSample[]): readonly SampledRow[];
	/**
	 * Hidden states behind the final norm of every row that the sequence in `slot` had in the last step (output `hidden`): a
	 * copy, hiddenSize values per row. Absent: the backend computes none, and its engine makes no embeddings.
	 */
	hidden?(slot: number): Float32Array;
	/**
	 * Keeps an adapter under an unused id of at least 1, for this backend and all that share its weights. Also while a step runs.
	 * Absent: the backend has no adapters.
	 */
	loadAdapter?(id: number, parts: readonly AdapterPart[]): void;
	/** Forgets it; no later step may name it. */
	unloadAdapter?(id: number): void;
	/** Content of a full block, kvBlockBytes of it; also while a step runs. */
	readBlock(block: number): Uint8Array;
	/** Fills a block that no step uses. */
	writeBlock(block: number, data: Uint8Array): void;
	/** Frees everything. Idempotent; a running step resolves as cancelled first. */
	close(): Promise<void>;
}
