// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { modelVariant, nameWithoutFormat } from "./model-variant.js";

it("drops the format that a file's name ends with, and nothing else", () => {
	const names = [
		"a/SmolLM2-135M-Instruct.Q4_1.gguf",
		"b/model-q8_0.gguf",
		"Qwen3-0.6B-BF16.gguf",
		"Q-f16.gguf",
		"random-qwen3-0.6b.gguf",
	];
	expect(names.map(nameWithoutFormat)).toEqual([
		"SmolLM2-135M-Instruct",
		"model",
		"Qwen3-0.6B",
		"Q",
		"random-qwen3-0.6b",
	]);
});

it("refuses formats that it cannot make", async () => {
	await expect(modelVariant("smollm2-135m-instruct:q2_k")).rejects.toThrow("q2_k is not one of q8_0, bf16");
});
