// SPDX-License-Identifier: Apache-2.0
import type { ModelSpec } from "../model/model-spec.js";

/** Tokens of a KV block: fixed in the kernels, and TensorRT-LLM's default. */
export const KV_BLOCK_SIZE = 32;

/** Bytes of one KV block, all layers, keys and values, in f32. */
export function f32KvBlockBytes({
	numLayers,
	numKvHeads,
	headDim,
}: Pick<ModelSpec, "numLayers" | "numKvHeads" | "headDim">): number {
	return numLayers * numKvHeads * headDim * KV_BLOCK_SIZE * 2 * Float32Array.BYTES_PER_ELEMENT;
}
