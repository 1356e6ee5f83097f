// SPDX-License-Identifier: Apache-2.0

/** In place of a token id: none could be chosen. */
export const NO_TOKEN = 0xffff_ffff;
/** In place of a token id: the row's logits are not such that one could be chosen. */
export const UNUSABLE = 0xffff_fffe;

/** Everything that native/src/addon.cpp exports. Errors it throws carry a `code` of the error registry. */
export interface NativeBinding {
	readonly NativeEngine: new (options: NativeEngineOptions) => NativeEngine;
	/** Bytes of a KV block of an engine with these options, all layers. */
	kvBlockBytes(options: NativeEngineModel): number;
	/** Kernel families that this binary has, best first. */
	readonly families: readonly string[];
	/** Those that this CPU can run and its system permits, best first. */
	readonly isas: readonly string[];
}

/** The model and how it is computed. */
export interface NativeEngineModel {
	/** ModelSpec's numbers, by the same names. */
	readonly spec: object;
	/** headDim / 2 values, RoPE scaling applied. */
	readonly inverseFrequencies: Float32Array;
	/** TensorSource objects. */
	readonly tensors: readonly object[];
	readonly f32: boolean;
	readonly isa: string | null;
}

export interface NativeEngineOptions extends NativeEngineModel {
	readonly numKvBlocks: number;
	readonly maxSequences: number;
	readonly maxBatchedTokens: number;
	readonly maxDrafts: number;
	readonly threads: number;
}

export interface NativeEngine {
	load(): Promise<NativeInfo>;
	/** Another engine, not loaded yet, that will use this one's weights: `tensors` are not read. It may outlive this one. */
	share(options: NativeEngineOptions): NativeEngine;
	/**
	 * `header` holds nine numbers per sequence: slot, position, token count, block count, output (0 none, 1 sample, 2 logits,
	 * 3 hidden), how many of the tokens are guesses, target count, alternatives per target, adapter (0 none);
	 * `tokens`, `blocks` and `targets` are those of all sequences, one after the other.
	 */
	step(
		header: Uint32Array,
		tokens: Uint32Array,
		blocks: Uint32Array,
		targets: Uint32Array,
		passes: number,
		withinMs: number,
	): Promise<NativeStep>;
	/**
	 * Keeps an adapter under an id of at least 1, for this engine and all that share its weights. `parts` hold layer, projection
	 * (position in PROJECTIONS), rank, and row-major f32 matrices a and b, the adapter's scale in b.
	 */
	loadAdapter(id: number, parts: readonly object[]): void;
	unloadAdapter(id: number): void;
	cancelStep(): void;
	yieldStep(): void;
	openSlot(slot: number, params: object, context: Uint32Array, generated: number): void;
	closeSlot(slot: number): void;
	/** Row of the logits buffer that holds the slot's logits of the last step. */
	logitsRow(slot: number): number;
	/**
	 * `masks[i]`, if any, is that of `slots[i]`, whose row is looked through first if `edited[i]` is not 0. The token id of a
	 * row whose mask leaves none is NO_TOKEN, of one that was found wanting UNUSABLE.
	 */
	sampleRows(
		slots: Uint32Array,
		masks: readonly (Uint32Array | undefined)[],
		edited: Uint32Array,
	): NativeSamples;
	/** A copy of the slot's hidden states of the last step (output hidden), one row of hiddenSize values per token. */
	hidden(slot: number): Float32Array;
	/** A copy of a block's bytes; also while a step runs. */
	readBlock(block: number): Uint8Array;
	/** Fills a block that no step uses; as many bytes as a block has. */
	writeBlock(block: number, data: Uint8Array): void;
	/** The logits buffer is gone after this. */
	close(): void;
}

export interface NativeInfo {
	readonly isa: string;
	readonly threads: number;
	readonly weightBytes: number;
	readonly kvBlockBytes: number;
	/** Rows of `logitsStride` floats. */
	readonly logits: ArrayBuffer;
	readonly logitsStride: number;
}

export interface NativeStep extends NativeSamples {
	readonly cancelled: boolean;
	readonly elapsedMs: number;
	/** Null without targets. */
	readonly scores: NativeSamples | null;
}

/** Parallel arrays, one entry per sampled row; alternatives of all rows follow each other in `topIds` and `topLogprobs`. */
export interface NativeSamples {
	readonly slots: Uint32Array;
	readonly tokenIds: Uint32Array;
	readonly logprobs: Float64Array;
	readonly topCounts: Uint32Array;
	readonly topIds: Uint32Array;
	readonly topLogprobs: Float64Array;
}
