// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, it } from "vitest";
import { createEmbeddedEngine } from "../engine/embedded-engine.js";
import { checkpointFolder, gguf, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { type CheckProgress, checkQuantization } from "./check-quantization.js";

const files = checkpointFolder();
afterAll(() => files.dispose());

/** More than one piece. */
const tokenIds = Array.from({ length: 700 }, (_, i) => (i * i + 3 * i) % 40);

describe("an engine of quantised weights", () => {
	it("says that they are", async () => {
		const modelPath = await files.saveHuggingFace(huggingFace("qwen2"));
		const engine = createEmbeddedEngine({ modelPath, quantization: "int4", backend: "reference" });
		expect((await engine.start()).description).toMatch(/^embedded, int4 weights, reference/);
		await engine.close();
	});
});

describe("checkQuantization", () => {
	it("measures the checkpoint as it is, in 8 and in 4 bits", async () => {
		const modelPath = await files.saveHuggingFace(huggingFace("llama"));
		const seen: CheckProgress[] = [];
		const measures = await checkQuantization({
			modelPath,
			tokenIds,
			backend: "reference",
			onProgress: (progress) => seen.push(progress),
		});
		const [stored, int8, int4] = measures;
		expect(measures.map(({ quantization }) => quantization)).toEqual([null, "int8", "int4"]);
		expect(stored).toMatchObject({ cost: 0, costError: 0 });
		expect(stored!.perplexity).toBeGreaterThan(30); // 40 tokens, random weights
		for (const { perplexity, cost, costError, loadMs, decodeTokensPerSecond } of [int8!, int4!]) {
			expect(perplexity / stored!.perplexity - 1).toBeCloseTo(cost, 9);
			expect(cost).not.toBe(0);
			expect(costError).toBeGreaterThan(0);
			expect(loadMs).toBeGreaterThan(0);
			expect(decodeTokensPerSecond).toBeGreaterThan(0);
		}
		expect(Math.abs(int8!.cost)).toBeLessThan(0.01);
		expect(int4!.costError).toBeGreaterThan(3 * int8!.costError);
		// 4 bytes, 1 + 1/16, and 5/8 a value, but for vectors, and for the embedding and v in the last.
		expect(int8!.weightBytes / stored!.weightBytes).toBeCloseTo(0.27, 1);
		expect(int4!.weightBytes).toBeLessThan(0.8 * int8!.weightBytes);
		expect(seen.at(0)).toEqual({ quantization: null, scoredTokens: 0, totalTokens: 700 });
		expect(seen.at(-1)).toEqual({ quantization: "int4", scoredTokens: 700, totalTokens: 700 });
	});

	it("compares with one quantization alone", async () => {
		const modelPath = await files.saveGguf(gguf("qwen3"));
		const measures = await checkQuantization({
			modelPath,
			tokenIds: tokenIds.slice(0, 40),
			backend: "reference",
			quantizations: ["int4"],
		});
		expect(measures.map(({ quantization }) => quantization)).toEqual([null, "int4"]);
	});

	it("refuses a text without anything to predict", async () => {
		const modelPath = await files.saveHuggingFace(huggingFace("llama"));
		await expect(checkQuantization({ modelPath, tokenIds: [1] })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining("nothing to predict"),
		});
	});
});
