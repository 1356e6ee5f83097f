// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, it } from "vitest";
import { tinyModel, UNEVEN, WIDE } from "../native/__fixtures__/tiny-model.js";
import { checkpointFolder, huggingFace } from "./__fixtures__/tiny-checkpoint.js";
import { loadModelWeights } from "./load-model-weights.js";
import { type Quantization, quantizeWeights } from "./quantize-weights.js";

const files = checkpointFolder();
const plain = tinyModel({ ...WIDE, tiedHead: false, numLayers: 1 }, "F16");
const quantised = tinyModel(WIDE, "Q8_0");
afterAll(() => {
	files.dispose();
	plain.dispose();
	quantised.dispose();
});

const targets = (quantization: Quantization) =>
	Object.fromEntries(
		quantizeWeights(plain.weights, quantization).tensors.map(({ name, quantizeTo }) => [
			name.replace("layers.0.", ""),
			quantizeTo,
		]),
	);

describe("quantizeWeights", () => {
	it("makes 8-bit weights of every matrix and leaves vectors alone", () => {
		const { attnNorm, mlpNorm, finalNorm, ...matrices } = targets("int8");
		expect([attnNorm, mlpNorm, finalNorm]).toEqual([undefined, undefined, undefined]);
		expect(Object.keys(matrices).sort()).toEqual(
			["down", "embed", "gate", "head", "k", "o", "q", "up", "v"].sort(),
		);
		expect(new Set(Object.values(matrices))).toEqual(new Set(["Q8_0"]));
	});

	it("keeps 8 bits where 4 cost most", () => {
		const all = targets("int4");
		expect(Object.keys(all).filter((name) => all[name] === "Q8_0")).toEqual(["embed", "head", "v"]);
		expect(Object.keys(all).filter((name) => all[name] === "Q4_1")).toEqual([
			"q",
			"k",
			"o",
			"gate",
			"up",
			"down",
		]);
	});

	it("refuses weights that are quantised already, naming the file", () => {
		expect(() => quantizeWeights(quantised.weights, "int8")).toThrow(
			expect.objectContaining({
				code: "INVALID_ARGUMENT",
				message: expect.stringMatching(/weights\.bin is quantised already \(embed is Q8_0\)/),
			}),
		);
	});

	it("refuses rows that are no whole groups", () => {
		const odd = tinyModel(UNEVEN);
		odd.dispose();
		expect(() => quantizeWeights(odd.weights, "int8")).toThrow(
			/rows of embed have 74 values, which is no multiple of 32/,
		);
	});
});

describe("loadModelWeights with a quantization", () => {
	it("says what the tensors become", async () => {
		const path = await files.saveHuggingFace(huggingFace("qwen2"));
		const { tensors } = await loadModelWeights(path, { quantization: "int8" });
		expect(tensors.find(({ name }) => name === "layers.1.q")?.quantizeTo).toBe("Q8_0");
		expect(tensors.find(({ name }) => name === "layers.1.qBias")?.quantizeTo).toBeUndefined();
	});

	it("refuses one that there is not", async () => {
		const path = await files.saveHuggingFace(huggingFace("llama"));
		await expect(loadModelWeights(path, { quantization: "int5" as Quantization })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining('quantization must be "int8" or "int4", got "int5"'),
		});
	});
});
