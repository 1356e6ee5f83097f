// SPDX-License-Identifier: Apache-2.0
import { truncateSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { blockRange, GREEDY, logitsInChunks, randomTokens, share } from "../../native/__fixtures__/steps.js";
import { FAMILIES, type TinyModel, tinyModel } from "../../native/__fixtures__/tiny-model.js";
import type { ForwardBackend, StepSequence } from "../forward-backend.js";
import { naiveLogits } from "./__fixtures__/naive-decoder.js";
import { createReferenceBackend } from "./reference-backend.js";

const LIMITS = { numKvBlocks: 12, maxSequences: 3, maxBatchedTokens: 100 };
const NOTHING = new Uint32Array(0);

describe.each(Object.values(FAMILIES))("$architecture", (spec) => {
	const tokens = randomTokens(70, spec.vocabSize, 5);
	const own = blockRange(0, 3);
	let model: TinyModel;
	let backend: ForwardBackend;
	let whole: Float32Array;

	beforeAll(async () => {
		model = tinyModel(spec);
		backend = await createReferenceBackend({ weights: model.weights, ...LIMITS });
		[whole] = (await logitsInChunks(backend, tokens, 70, own)) as [Float32Array];
	});
	afterAll(async () => {
		await backend.close();
		model.dispose();
	});

	it("equals a decoder that was written another way, at every position", async () => {
		const expected = await naiveLogits(model.weights, tokens);
		const rows = await logitsInChunks(backend, tokens, 1, own);
		for (const [position, row] of rows.entries())
			for (const [id, logit] of row.entries()) expect(logit).toBeCloseTo(expected[position]![id]!, 4);
	});

	it.each([1, 7, 32, 33])("has the same logits in chunks of %i", async (chunk) => {
		expect((await logitsInChunks(backend, tokens, chunk, own)).at(-1)).toEqual(whole);
	});

	it("has the same logits in any blocks", async () => {
		const [scattered] = await logitsInChunks(backend, tokens, 70, Uint32Array.of(11, 4, 7));
		expect(scattered).toEqual(whole);
	});

	it("has the same logits in company, and behind a prefix that another sequence computed", async () => {
		const other = randomTokens(20, spec.vocabSize, 6);
		await backend.step([share(1, other, 0, blockRange(5, 1)), share(0, tokens.subarray(0, 64), 0, own)]);
		const shared = Uint32Array.of(0, 1, 9);
		await backend.step([share(2, tokens.subarray(64), 64, shared), share(1, other, 20, blockRange(5, 2))]);
		expect(backend.logits(2)).toEqual(whole);
	});

	it("and other logits after another token", async () => {
		const changed = tokens.slice();
		changed[2] = (changed[2]! + 1) % spec.vocabSize;
		expect((await logitsInChunks(backend, changed, 70, own))[0]).not.toEqual(whole);
	});
});

describe("the reference backend", () => {
	const spec = FAMILIES.qwen2;
	const one = Uint32Array.of(1);
	let model: TinyModel;
	let backend: ForwardBackend;

	beforeAll(() => {
		model = tinyModel(spec);
	});
	afterAll(() => model.dispose());
	beforeEach(async () => {
		backend = await createReferenceBackend({ weights: model.weights, ...LIMITS });
	});
	afterEach(() => backend.close());

	it("reports what it holds", () => {
		const parameters = model.weights.tensors.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
		expect(backend.info).toEqual({
			isa: "reference",
			threads: 1,
			weightBytes: parameters * 4,
			kvBlockBytes: 32 * 2 * spec.numLayers * spec.numKvHeads * spec.headDim * 4,
			kvLayout: "reference",
			scoresPrompts: true,
		});
	});

	it("samples the sequences that ask for it, in step order, with their own parameters", async () => {
		backend.openSlot(0, GREEDY, one, 0);
		backend.openSlot(2, { ...GREEDY, biasIds: Uint32Array.of(77), biasValues: Float32Array.of(100) }, one, 0);
		const { sampled, cancelled } = await backend.step([
			share(2, one, 0, Uint32Array.of(2), "sample"),
			share(1, one, 0, Uint32Array.of(1), "logits"),
			share(0, one, 0, Uint32Array.of(0), "sample"),
		]);
		const logits = backend.logits(1);
		expect(cancelled).toBe(false);
		expect(sampled.map(({ slot, tokenId }) => [slot, tokenId])).toEqual([
			[2, 77],
			[0, logits.indexOf(Math.max(...logits))],
		]);
	});

	it("samples a row that JavaScript edited", async () => {
		backend.openSlot(0, GREEDY, one, 0);
		await backend.step([share(0, one, 0, one, "logits")]);
		backend.logits(0).fill(-Infinity, 0, 150);
		backend.logits(0)[160] = 1000;
		expect(backend.sampleRows([{ slot: 0 }])).toMatchObject([{ tokenId: 160 }]);
		backend.logits(0)[3] = Number.NaN;
		expect(backend.sampleRows([{ slot: 0, edited: true }])).toEqual(["unusable"]);
	});

	it("cancels a step between tokens, and only that one", async () => {
		backend.cancelStep(); // harmless
		const tokens = randomTokens(60, spec.vocabSize, 1);
		const stepping = backend.step([share(0, tokens, 0, blockRange(0, 2))]);
		setImmediate(() => backend.cancelStep());
		expect(await stepping).toMatchObject({ cancelled: true, sampled: [] });
		expect(() => backend.logits(0)).toThrow(/no logits/);
		expect((await backend.step([share(0, one, 0, one)])).cancelled).toBe(false);
	});

	it("runs one step at a time", async () => {
		const first = backend.step([share(0, one, 0, one)]);
		await expect(backend.step([share(1, one, 0, one)])).rejects.toThrow(/a step is running/);
		expect(() => backend.openSlot(0, GREEDY, NOTHING, 0)).toThrow(/a step is running/);
		expect((await first).cancelled).toBe(false);
	});

	it("cancels the running step when it is closed, and refuses others, twice if need be", async () => {
		const stepping = backend.step([share(0, randomTokens(60, spec.vocabSize, 1), 0, blockRange(0, 2))]);
		let ended = false;
		const tracked = stepping.then((result) => {
			ended = true;
			return result;
		});
		await Promise.all([backend.close(), backend.close()]);
		expect(ended).toBe(true);
		expect((await tracked).cancelled).toBe(true);
		await expect(backend.step([share(0, one, 0, one)])).rejects.toMatchObject({ code: "UNAVAILABLE" });
	});

	const bad: Record<string, readonly StepSequence[]> = {
		"without sequences": [],
		"without tokens": [share(0, NOTHING, 0, one)],
		"in a slot that does not exist": [share(3, one, 0, one)],
		"in a negative slot": [share(-1, one, 0, one)],
		"twice in one slot": [share(0, one, 0, one), share(0, one, 0, one)],
		"with more rows than the limit": [share(0, new Uint32Array(101), 0, blockRange(0, 4))],
		"with a token beyond the vocabulary": [share(0, Uint32Array.of(spec.vocabSize), 0, one)],
		"with a block that does not exist": [share(0, one, 0, Uint32Array.of(12))],
		"with too few blocks": [share(0, one, 32, one)],
		"beyond the context": [share(0, one, spec.contextLength, new Uint32Array(70))],
		"at a negative position": [share(0, one, -1, one)],
		"that samples in a closed slot": [share(0, one, 0, one, "sample")],
	};
	it.each(Object.entries(bad))("refuses a step %s", async (_, sequences) => {
		await expect(backend.step(sequences)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		expect((await backend.step([share(0, one, 0, one)])).cancelled).toBe(false);
	});

	it("refuses slots that do not exist or are not open, and rows that were not computed", async () => {
		backend.openSlot(1, GREEDY, NOTHING, 0);
		await backend.step([share(0, one, 0, one, "logits"), share(1, one, 0, Uint32Array.of(2), "none")]);
		expect(() => backend.logits(1)).toThrow(/slot 1 has no logits/);
		expect(() => backend.sampleRows([{ slot: 1 }])).toThrow(/slot 1 has no logits/);
		expect(() => backend.sampleRows([{ slot: 0 }])).toThrow(/slot 0 is not open/);
		expect(() => backend.logits(7)).toThrow(/slot 7 does not exist/);
		expect(() => backend.openSlot(0, GREEDY, one, 2)).toThrow(/generated/);
		backend.closeSlot(1);
		await expect(backend.step([share(1, one, 0, one, "sample")])).rejects.toThrow(/slot 1 is not open/);
	});

	it("says so when a tensor is truncated or the KV blocks do not fit", async () => {
		const weights = model.weights;
		await expect(createReferenceBackend({ weights, ...LIMITS, numKvBlocks: 2 ** 40 })).rejects.toMatchObject({
			code: "OUT_OF_MEMORY",
		});
		const short = tinyModel(spec);
		truncateSync(short.file, 50_000);
		await expect(createReferenceBackend({ weights: short.weights, ...LIMITS })).rejects.toMatchObject({
			code: "MODEL_FORMAT",
		});
		short.dispose();
	});
});
