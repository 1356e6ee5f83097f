// SPDX-License-Identifier: Apache-2.0
import type { QuantizedType, TensorType } from "@dyn/models";

/**
 * What RoPE's frequencies go through: the parameters of Llama 3's formula, as config.json gives them, or its outcome,
 * as GGUF does: the divisor of each rotated pair's frequency, headDim/2 of them.
 */
export type RopeScaling =
	| {
			readonly factor: number;
			readonly lowFreqFactor: number;
			readonly highFreqFactor: number;
			readonly originalContextLength: number;
	  }
	| { readonly divisors: readonly number[] };

/** Everything a backend must know about a decoder of the Llama, Qwen2 or Qwen3 family. */
export interface ModelSpec {
	readonly architecture: "llama" | "qwen2" | "qwen3";
	readonly numLayers: number;
	readonly hiddenSize: number;
	readonly numHeads: number;
	readonly numKvHeads: number;
	readonly headDim: number;
	readonly intermediateSize: number;
	readonly vocabSize: number;
	readonly contextLength: number;
	readonly rmsNormEps: number;
	readonly ropeTheta: number;
	readonly ropeScaling: RopeScaling | null;
	/** The output head is the embedding matrix. */
	readonly tiedHead: boolean;
	/** q, k and v projections have a bias. */
	readonly qkvBias: boolean;
	/** RMS norm over each q and k head before RoPE. */
	readonly qkNorm: boolean;
	readonly eosTokenIds: readonly number[];
	readonly bosTokenId: number | null;
}

/**
 * Canonical names: `embed`, `head` (absent when tied), `finalNorm`, and per layer `layers.<i>.` +
 * `attnNorm`, `q`, `k`, `v`, `qBias`, `kBias`, `vBias`, `qNorm`, `kNorm`, `o`, `mlpNorm`, `gate`, `up`, `down`.
 */
export interface TensorSource {
	readonly name: string;
	readonly file: string;
	readonly offset: number;
	readonly byteLength: number;
	readonly type: TensorType;
	/** What the values are turned into while they are loaded. Absent: they stay as stored. */
	readonly quantizeTo?: QuantizedType;
	/** Output features; 1 for vectors. */
	readonly rows: number;
	/** Input features, contiguous. */
	readonly cols: number;
	/**
	 * GGUF files of the llama architecture store q and k rows reordered for interleaved RoPE. When > 0, row
	 * `h*headDim + i*2 + j` of the file is row `h*headDim + j*headDim/2 + i` of the matrix, with this many heads. 0 = as is.
	 */
	readonly permutedHeads: number;
}

export interface ModelWeights {
	readonly spec: ModelSpec;
	readonly tensors: readonly TensorSource[];
}
