// SPDX-License-Identifier: Apache-2.0
import { loadModelWeights, type ModelWeights } from "@dyn/trtllm-native";

/** What a model asks of a machine. Products are pairs of a multiplication and an addition. */
export interface ModelShape {
	/** Matrices that a step reads, each of them once, in bytes of the file. */
	readonly weightBytes: number;
	/** Keys and values of a token in all layers, at 16 bits. */
	readonly kvBytesOfToken: number;
	/** Products of one row with the matrices of all layers. */
	readonly layerProducts: number;
	/** Products of one row with the output head. */
	readonly headProducts: number;
	/** Products of one row with the keys and values of one token, in all layers. */
	readonly attentionProducts: number;
	/** The narrowest numbers that the matrices can be multiplied as. */
	readonly numbers: "int8" | "bf16" | "fp32";
}

/** Reads headers only. */
export async function modelShape(path: string): Promise<ModelShape> {
	return shapeOf(await loadModelWeights(path));
}

export function shapeOf({ spec, tensors }: ModelWeights): ModelShape {
	const matrices = tensors.filter(({ rows }) => rows > 1);
	const layers = matrices.filter(({ name }) => name.startsWith("layers."));
	const type = layers[0]!.type;
	return {
		weightBytes: matrices
			.filter(({ name }) => spec.tiedHead || name !== "embed") // of which a step reads a few rows
			.reduce((sum, { byteLength }) => sum + byteLength, 0),
		kvBytesOfToken: 2 * 2 * spec.numLayers * spec.numKvHeads * spec.headDim,
		layerProducts: layers.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
		headProducts: spec.vocabSize * spec.hiddenSize,
		attentionProducts: 2 * spec.numLayers * spec.numHeads * spec.headDim,
		numbers: type === "F32" ? "fp32" : type === "F16" || type === "BF16" ? "bf16" : "int8",
	};
}
