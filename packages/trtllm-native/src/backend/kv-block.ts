// SPDX-License-Identifier: Apache-2.0
import type { ModelSpec } from "../model/model-spec.js";

/** Tokens of a KV block: fixed in the kernels, and TensorRT-LLM's default. */
export const KV_BLOCK_SIZE = 32;

/**
 * Bytes of one KV block, all layers, keys and values. `bytesPerValue` is 2 for f16 and 4 for f32. Kernels that keep keys and
 * values in fixed point take a fifth less than for f16.
 */
export function kvBlockBytes(
	{ numLayers, numKvHeads, headDim }: Pick<ModelSpec, "numLayers" | "numKvHeads" | "headDim">,
	bytesPerValue: 2 | 4,
): number {
	return numLayers * numKvHeads * headDim * KV_BLOCK_SIZE * 2 * bytesPerValue;
}
