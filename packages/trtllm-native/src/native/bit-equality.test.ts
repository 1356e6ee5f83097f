// SPDX-License-Identifier: Apache-2.0
// The invariant of docs: logits are bit-identical whatever the batch, the chunking, the blocks and the thread count.
import type { TensorType } from "@dyn/models";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ForwardBackend, StepSequence } from "../backend/forward-backend.js";
import type { ModelWeights } from "../model/model-spec.js";
import { type Quantization, quantizeWeights } from "../model/quantize-weights.js";
import { blockRange, logitsInChunks, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, type TinyModel, tinyModel, WIDE } from "./__fixtures__/tiny-model.js";
import { loadNativeBinding } from "./loader.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
const { isas } = loadNativeBinding();

/** Longer than the longest chunk, and neither a whole number of blocks nor of row tiles. */
const tokens = randomTokens(563, WIDE.vocabSize, 21);
const BLOCKS_PER_SEQUENCE = 18;
const SEQUENCES = 16;
const own = blockRange(0, BLOCKS_PER_SEQUENCE);

type Stored = readonly [type: TensorType, quantization?: Quantization];
const cases = isas.flatMap((isa) =>
	([["F32"], ["BF16"], ["Q4_1"], ["Q6_K"], ["BF16", "int8"], ["BF16", "int4"]] as const).map(
		(stored): [string, string, Stored] => [isa, stored.join(" as "), stored],
	),
);

describe.each(cases)("%s, %s weights", (isa, _, [type, quantization]) => {
	let model: TinyModel;
	let weights: ModelWeights;
	let backend: ForwardBackend;
	let expected: Float32Array;

	const create = (threads: number) =>
		createNativeBackend({
			weights,
			isa,
			threads,
			numKvBlocks: SEQUENCES * BLOCKS_PER_SEQUENCE,
			maxSequences: SEQUENCES,
			maxBatchedTokens: 600,
		});

	beforeAll(async () => {
		model = tinyModel(WIDE, type);
		weights = quantization ? quantizeWeights(model.weights, quantization) : model.weights;
		backend = await create(2);
		await backend.step([share(0, tokens, 0, own)]);
		expected = backend.logits(0).slice();
		expect(expected.some((value) => value !== 0) && expected.every(Number.isFinite)).toBe(true);
	});
	afterAll(async () => {
		await backend.close();
		model.dispose();
	});

	it.each([1, 7, 32, 512])("does not depend on the chunk size: %i", async (chunk) => {
		const rows = await logitsInChunks(backend, tokens, chunk, own);
		expect(sameBits(rows.at(-1)!, expected)).toBe(true);
	});

	it("does not depend on the other sequences of a step", async () => {
		// The others are at their first token, deep in their prompts, or decoding; ours is at a different place each step.
		const others = Array.from({ length: SEQUENCES - 1 }, (_, i) =>
			randomTokens(563, WIDE.vocabSize, 100 + i),
		);
		for (const [at, end] of [
			[0, 90],
			[90, 91],
			[91, 400],
			[400, 562],
			[562, 563],
		] as const) {
			const mates = others.map((prompt, i): StepSequence => {
				const position = (at * (i + 1)) % 500;
				const count = i % 3 === 0 ? 1 + ((at + 5 * i) % 9) : 1;
				const slot = i + 1;
				const blocks = blockRange(slot * BLOCKS_PER_SEQUENCE, BLOCKS_PER_SEQUENCE);
				return share(slot, prompt.subarray(position, position + count), position, blocks);
			});
			const mine = share(0, tokens.subarray(at, end), at, own);
			await backend.step([...mates.slice(0, 8), mine, ...mates.slice(8)]);
		}
		expect(sameBits(backend.logits(0), expected)).toBe(true);
	});

	it("does not depend on who computed the prefix, nor where it lies", async () => {
		const away = blockRange(100, BLOCKS_PER_SEQUENCE).reverse();
		await backend.step([share(3, tokens.subarray(0, 320), 0, away, "none")]);
		// Another sequence takes the first ten blocks over and goes on in blocks of its own.
		const mixed = Uint32Array.from([...away.subarray(0, 10), ...blockRange(40, 8)]);
		const rows = await logitsInChunks(backend, tokens, 243, mixed, 320);
		expect(sameBits(rows.at(-1)!, expected)).toBe(true);
	});

	it.each([1, 3])("does not depend on the number of threads: %i", async (threads) => {
		const other = await create(threads);
		await other.step([share(0, tokens, 0, own)]);
		expect(sameBits(other.logits(0), expected)).toBe(true);
		await other.close();
	});
});

/** Unlike toEqual: tells 0 from -0 and equal NaNs apart. */
function sameBits(a: Float32Array, b: Float32Array): boolean {
	return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
		Buffer.from(b.buffer, b.byteOffset, b.byteLength),
	);
}
