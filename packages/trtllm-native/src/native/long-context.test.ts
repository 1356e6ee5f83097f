// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { blockRange, logitsInChunks, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, tinyModel, WIDE } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();

const LENGTH = 32_768;
const SPEC = {
	...WIDE,
	numLayers: 1,
	hiddenSize: 64,
	numHeads: 2,
	numKvHeads: 1,
	headDim: 32,
	contextLength: LENGTH,
};

it("gives the same bits at 32,768 tokens whoever computes the parts of the context", async () => {
	const model = tinyModel(SPEC, "BF16");
	const tokens = randomTokens(LENGTH, SPEC.vocabSize, 5);
	const blocks = blockRange(0, LENGTH / 32);
	const lastRow = async (threads: number, chunk: number) => {
		const backend = await createNativeBackend({
			weights: model.weights,
			threads,
			numKvBlocks: blocks.length,
			maxSequences: 1,
			maxBatchedTokens: chunk,
		});
		// The last token comes alone, as in decode: its context is what threads share.
		await logitsInChunks(backend, tokens.subarray(0, -1), chunk, blocks);
		await backend.step([share(0, tokens.subarray(-1), LENGTH - 1, blocks)]);
		const row = backend.logits(0).slice();
		await backend.close();
		return row;
	};
	const shared = await lastRow(3, 2048);
	expect(shared.every(Number.isFinite) && shared.some((value) => value !== 0)).toBe(true);
	expect(Buffer.from((await lastRow(1, 1000)).buffer)).toEqual(Buffer.from(shared.buffer));
	model.dispose();
});
