// SPDX-License-Identifier: Apache-2.0
import type { ModelWeights, TensorSource } from "@dyn/trtllm-native";
import { expect, it } from "vitest";
import { shapeOf } from "./model-shape.js";

const tensor = (name: string, rows: number, cols: number, byteLength: number): TensorSource => ({
	name,
	file: "",
	offset: 0,
	byteLength,
	type: "Q4_1",
	rows,
	cols,
	permutedHeads: 0,
});
const tensors = [
	tensor("embed", 100, 8, 4000),
	tensor("layers.0.attnNorm", 1, 8, 32),
	tensor("layers.0.q", 8, 8, 40),
	tensor("layers.0.down", 8, 16, 80),
];
const model = (tiedHead: boolean): ModelWeights => ({
	spec: {
		numLayers: 3,
		numHeads: 4,
		numKvHeads: 2,
		headDim: 2,
		hiddenSize: 8,
		vocabSize: 100,
		tiedHead,
	} as ModelWeights["spec"],
	tensors: tiedHead ? tensors : [...tensors, tensor("head", 100, 8, 1000)],
});

it("counts matrices, and the embedding where it is the head", () => {
	expect(shapeOf(model(true))).toEqual({
		weightBytes: 4120,
		kvBytesOfToken: 2 * 2 * 3 * 2 * 2,
		layerProducts: 64 + 128,
		headProducts: 800,
		attentionProducts: 2 * 3 * 4 * 2,
		numbers: "int8",
	});
	expect(shapeOf(model(false)).weightBytes).toBe(1120);
});
