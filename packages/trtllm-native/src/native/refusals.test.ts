// SPDX-License-Identifier: Apache-2.0
// Bad input gets an error that names the thing; it never crashes the process and leaves the engine usable.
import { truncateSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ForwardBackend, StepSequence } from "../backend/forward-backend.js";
import type { ModelWeights, TensorSource } from "../model/model-spec.js";
import { GREEDY, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend, type NativeBackendOptions } from "./native-backend.js";

buildNative();
const spec = FAMILIES.qwen2;
const LIMITS = { numKvBlocks: 4, maxSequences: 2, maxBatchedTokens: 40, threads: 2 };

let model: TinyModel;
let backend: ForwardBackend;

beforeAll(async () => {
	model = tinyModel(spec);
	backend = await createNativeBackend({ weights: model.weights, ...LIMITS });
});
afterAll(async () => {
	await backend.close();
	model.dispose();
});

describe("loading", () => {
	const load = (weights: ModelWeights, options: Partial<NativeBackendOptions> = {}) =>
		createNativeBackend({ weights, ...LIMITS, ...options });
	/** The model with one tensor changed, or without it. */
	const altered = (name: string, change: Partial<TensorSource> | null): ModelWeights => ({
		spec,
		tensors: model.weights.tensors.flatMap((tensor) =>
			tensor.name !== name ? [tensor] : change ? [{ ...tensor, ...change }] : [],
		),
	});

	it.each(["embed", "head", "finalNorm", "layers.1.down", "layers.0.kBias"])(
		"names the missing tensor %s",
		async (name) => {
			await expect(load(altered(name, null))).rejects.toMatchObject({
				code: "MODEL_FORMAT",
				message: expect.stringContaining(name),
			});
		},
	);

	it.each<[string, Partial<TensorSource>]>([
		["wrong shape", { rows: 64, cols: 96 }],
		["wrong length", { byteLength: 100 }],
		["beyond the end of the file", { offset: 2 ** 40 }],
		["a type that its columns cannot hold", { type: "Q6_K" }],
		["rows that no heads interleave", { permutedHeads: 7 }],
		["no such file", { file: "/nowhere/weights.bin" }],
		["a directory", { file: "/" }],
	])("names the tensor or its file: %s", async (_, change) => {
		await expect(load(altered("layers.1.q", change))).rejects.toMatchObject({
			code: "MODEL_FORMAT",
			message: expect.stringContaining(change.file ?? "layers.1.q"),
		});
	});

	it("notices a truncated file", async () => {
		const short = tinyModel(spec);
		truncateSync(short.file, 50_000);
		await expect(load(short.weights)).rejects.toMatchObject({
			code: "MODEL_FORMAT",
			message: expect.stringMatching(/truncated/),
		});
		short.dispose();
	});

	it.each<[string, Partial<TensorSource>]>([
		["layers.0.q", { offset: -1 }],
		["layers.0.q", { offset: Number.NaN }],
		["layers.0.q", { rows: 2 ** 40 }],
		["layers.0.q", { permutedHeads: -3 }],
		["layers.0.q", { type: "Q8_0", quantizeTo: "Q4_1" }],
	])("refuses numbers that are none: %s %j", async (name, change) => {
		await expect(load(altered(name, change))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	});

	it.each([{ headDim: 24 }, { numHeads: 5 }, { numLayers: 0 }, { vocabSize: 2 ** 31 }, { hiddenSize: 63.5 }])(
		"refuses the spec %j",
		async (change) => {
			const weights = { spec: { ...spec, ...change }, tensors: model.weights.tensors };
			await expect(load(weights)).rejects.toMatchObject({ code: "MODEL_FORMAT" });
		},
	);

	it("says so when the KV blocks do not fit the address space", async () => {
		// 512 KiB a block: 2^31 blocks are a pebibyte.
		const wide = tinyModel({ ...spec, numLayers: 1, numHeads: 64, numKvHeads: 64, headDim: 64 });
		await expect(load(wide.weights, { numKvBlocks: 2 ** 31 - 1 })).rejects.toMatchObject({
			code: "OUT_OF_MEMORY",
			message: expect.stringMatching(/KV cache.*fewer blocks/),
		});
		wide.dispose();
	});

	it("says so when there is no memory for the slots", async () => {
		await expect(load(model.weights, { maxSequences: 2 ** 31 - 1 })).rejects.toMatchObject({
			code: "OUT_OF_MEMORY",
		});
	});

	it.each(["numKvBlocks", "maxSequences", "maxBatchedTokens", "threads"] as const)(
		"refuses %s of 0, by name",
		async (name) => {
			await expect(load(model.weights, { [name]: 0 })).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining(name),
			});
		},
	);
});

describe("a step", () => {
	const one = Uint32Array.of(1);
	const bad: Record<string, readonly StepSequence[]> = {
		"without sequences": [],
		"without tokens": [share(0, new Uint32Array(0), 0, one)],
		"in a slot that does not exist": [share(2, one, 0, one)],
		"in a negative slot": [share(-1, one, 0, one)],
		"twice in one slot": [share(0, one, 0, one), share(0, one, 0, one)],
		"with more rows than the limit": [share(0, new Uint32Array(41), 0, Uint32Array.of(0, 1))],
		"with a token beyond the vocabulary": [share(0, Uint32Array.of(spec.vocabSize), 0, one)],
		"with a block that does not exist": [share(0, one, 0, Uint32Array.of(4))],
		"with too few blocks": [share(0, one, 32, one)],
		"beyond the context": [share(0, one, spec.contextLength, new Uint32Array(70))],
		"at a negative position": [share(0, one, -1, one)],
		"that samples in a closed slot": [share(0, one, 0, one, "sample")],
	};

	it.each(Object.entries(bad))("is refused: %s", async (_, sequences) => {
		await expect(backend.step(sequences)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	});

	it("works after all of these", async () => {
		const result = await backend.step([share(0, Uint32Array.of(1), 0, one)]);
		expect(result.cancelled).toBe(false);
		expect(backend.logits(0)).toHaveLength(spec.vocabSize);
	});

	it("leaves no logits where it had no output", async () => {
		await backend.step([share(0, one, 0, one), share(1, one, 0, Uint32Array.of(2), "none")]);
		expect(() => backend.logits(1)).toThrow(/no logits/);
		expect(() => backend.logits(7)).toThrow(/slot 7 does not exist/);
		expect(() => backend.sampleRows([{ slot: 0 }])).toThrow(/slot 0 is not open/);
	});

	it("is the only one at a time", async () => {
		const first = backend.step([share(0, one, 0, one)]);
		await expect(backend.step([share(1, one, 0, one)])).rejects.toThrow(/a step is running/);
		expect(() => backend.openSlot(0, GREEDY, one, 0)).toThrow(/a step is running/);
		expect((await first).cancelled).toBe(false);
	});
});

describe("a slot", () => {
	const none = new Uint32Array(0);
	it.each([
		["a biased id", { biasIds: Uint32Array.of(spec.vocabSize), biasValues: Float32Array.of(1) }],
		["a suppressed id", { endIds: Uint32Array.of(spec.vocabSize) }],
		["biases of another length", { biasIds: Uint32Array.of(1), biasValues: new Float32Array(2) }],
		["a temperature that is no number", { temperature: Number.NaN }],
		["a negative top-k", { topK: -1 }],
		["more alternatives than 20", { logprobs: 21 }],
		["a seed of more than 32 bits", { seedLow: 2 ** 32 }],
		["ids of another type", { endIds: new Float32Array(1) as unknown as Uint32Array }],
	])("refuses %s", (_, change) => {
		expect(() => backend.openSlot(0, { ...GREEDY, ...change }, none, 0)).toThrowError(
			expect.objectContaining({ code: "INVALID_ARGUMENT" }),
		);
	});

	it("refuses more generated tokens than its context has, and slots that do not exist", () => {
		expect(() => backend.openSlot(0, GREEDY, Uint32Array.of(1), 2)).toThrow(/generated/);
		expect(() => backend.openSlot(2, GREEDY, none, 0)).toThrow(/slot 2/);
		expect(() => backend.closeSlot(-1)).toThrow(/slot/);
	});
});
