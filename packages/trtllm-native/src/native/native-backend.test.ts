// SPDX-License-Identifier: Apache-2.0
import type { TensorType } from "@dyn/models";
import { describe, expect, it } from "vitest";
import type { ForwardBackend } from "../backend/forward-backend.js";
import { f32KvBlockBytes } from "../backend/kv-block.js";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import type { ModelSpec } from "../model/model-spec.js";
import { type Quantization, quantizeWeights } from "../model/quantize-weights.js";
import { blockRange, cosine, randomTokens, relativeError, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel, UNEVEN, WIDE } from "./__fixtures__/tiny-model.js";
import { loadNativeBinding } from "./loader.js";
import { createNativeBackend, nativeKvBlockBytes } from "./native-backend.js";

buildNative();
/** What this CPU can run; the rest must be refused. */
const { isas } = loadNativeBinding();
const others = ["amx", "avx512", "avx2", "portable", "mmx"].filter((isa) => !isas.includes(isa));
const LIMITS = { numKvBlocks: 8, maxSequences: 2, maxBatchedTokens: 64, threads: 2 };

/** Two prompts side by side, one of them in two chunks and over a block boundary, then two decode steps of both. */
async function script(backend: ForwardBackend, vocabSize: number): Promise<Float32Array[]> {
	const long = randomTokens(42, vocabSize, 11);
	const short = randomTokens(11, vocabSize, 12);
	const [a, b] = [Uint32Array.of(5, 2), Uint32Array.of(7)];
	const rows: Float32Array[] = [];
	const collect = (...slots: number[]) => {
		for (const slot of slots) rows.push(backend.logits(slot).slice());
	};
	await backend.step([share(0, long.subarray(0, 20), 0, a, "none"), share(1, short.subarray(0, 9), 0, b)]);
	collect(1);
	await backend.step([share(1, short.subarray(9, 10), 9, b), share(0, long.subarray(20, 41), 20, a)]);
	collect(1, 0);
	await backend.step([share(0, long.subarray(41), 41, a), share(1, short.subarray(10), 10, b)]);
	collect(0, 1);
	return rows;
}

async function referenceRows(spec: ModelSpec, weights: TinyModel["weights"]): Promise<Float32Array[]> {
	const reference = await createReferenceBackend({ weights, ...LIMITS });
	try {
		return await script(reference, spec.vocabSize);
	} finally {
		await reference.close();
	}
}

/** The reference's rows by model: every instruction set is compared with them, and they take seconds when it quantises. */
const expectations = new Map<string, Float32Array[]>();

async function withModel(
	spec: ModelSpec,
	type: TensorType,
	use: (model: Pick<TinyModel, "weights">, expected: Float32Array[]) => Promise<void>,
	quantization?: Quantization,
): Promise<void> {
	const model = tinyModel(spec, type);
	const weights = quantization ? quantizeWeights(model.weights, quantization) : model.weights;
	try {
		const key = JSON.stringify([spec, type, quantization]);
		const expected = expectations.get(key) ?? (await referenceRows(spec, weights));
		expectations.set(key, expected);
		await use({ weights }, expected);
	} finally {
		model.dispose();
	}
}

describe("instruction sets", () => {
	it("include portable on every CPU", () => {
		expect(isas).toContain("portable");
	});

	it.each(others)("refuses %s, which this CPU cannot run", async (isa) => {
		const { weights, dispose } = tinyModel(FAMILIES.llama);
		await expect(createNativeBackend({ weights, isa, ...LIMITS })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining(isa),
		});
		dispose();
	});
});

describe.each(isas)("%s against the reference", (isa) => {
	it.each(Object.values(FAMILIES))("computes the same logits in f32: $architecture", async (spec) => {
		await withModel(spec, "F32", async ({ weights }, expected) => {
			const backend = await createNativeBackend({ weights, isa, precision: "f32", ...LIMITS });
			const actual = await script(backend, spec.vocabSize);
			await backend.close();
			for (const [i, row] of expected.entries()) expect(relativeError(actual[i]!, row)).toBeLessThan(1e-4);
		});
	});

	it.each<TensorType>(["F32", "F16", "BF16"])("takes sizes that fill no panel: %s", async (type) => {
		await withModel(UNEVEN, type, async ({ weights }, expected) => {
			const backend = await createNativeBackend({ weights, isa, ...LIMITS });
			const actual = await script(backend, UNEVEN.vocabSize);
			await backend.close();
			for (const [i, row] of expected.entries()) expect(cosine(actual[i]!, row)).toBeGreaterThan(0.999);
		});
	});

	it.each<TensorType>(["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"])(
		"computes %s weights as they are stored, and exactly in f32",
		async (type) => {
			await withModel(WIDE, type, async ({ weights }, expected) => {
				for (const precision of ["auto", "f32"] as const) {
					const backend = await createNativeBackend({ weights, isa, precision, ...LIMITS });
					expect(backend.info.isa).toBe(isa);
					const actual = await script(backend, WIDE.vocabSize);
					await backend.close();
					for (const [i, row] of expected.entries()) {
						if (precision === "f32") expect(relativeError(actual[i]!, row)).toBeLessThan(1e-4);
						else expect(cosine(actual[i]!, row)).toBeGreaterThan(0.999);
					}
				}
			});
		},
	);

	it.each<[TensorType, Quantization]>([
		["F32", "int8"],
		["F32", "int4"],
		["F16", "int4"],
		["BF16", "int8"],
		["BF16", "int4"],
	])("quantises %s weights to %s as the reference does, and exactly in f32", async (type, quantization) => {
		const compare = async ({ weights }: Pick<TinyModel, "weights">, expected: Float32Array[]) => {
			for (const precision of ["auto", "f32"] as const) {
				const backend = await createNativeBackend({ weights, isa, precision, ...LIMITS });
				const actual = await script(backend, WIDE.vocabSize);
				await backend.close();
				for (const [i, row] of expected.entries()) {
					if (precision === "f32") expect(relativeError(actual[i]!, row)).toBeLessThan(1e-4);
					else expect(cosine(actual[i]!, row)).toBeGreaterThan(0.999);
				}
			}
		};
		await withModel(WIDE, type, compare, quantization);
	});
});

describe("createNativeBackend", () => {
	it("reports what it holds, and foretells what a KV block takes", async () => {
		const model = tinyModel(FAMILIES.llama, "Q4_1");
		for (const precision of ["auto", "f32"] as const) {
			const backend = await createNativeBackend({ weights: model.weights, precision, ...LIMITS });
			const { threads, weightBytes, kvBlockBytes } = backend.info;
			expect(nativeKvBlockBytes({ weights: model.weights, precision })).toBe(kvBlockBytes);
			if (precision === "f32") expect(kvBlockBytes).toBe(f32KvBlockBytes(FAMILIES.llama));
			expect(threads).toBe(2);
			const parameters = model.weights.tensors.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
			const bytesPerWeight = weightBytes / parameters;
			if (precision === "f32") expect(bytesPerWeight).toBeGreaterThan(3.9);
			else expect(bytesPerWeight).toBeLessThan(0.7); // kept in 4 bits
			await backend.close();
		}
		model.dispose();
	});

	// A head of 64 dimensions keeps 32 tokens: f16, or fixed point with three numbers of f32 a token beside it.
	it.each<[string, ModelSpec, TensorType, string, number]>([
		["8 bits with quantised weights", WIDE, "Q4_1", "avx512", 64 * 32 * 2 + 384],
		[
			"12 bits with biases on keys",
			{ ...WIDE, architecture: "qwen2", qkvBias: true },
			"Q4_1",
			"avx512",
			64 * 32 * 3 + 384,
		],
		["12 bits with other weights", WIDE, "BF16", "avx512", 64 * 32 * 3 + 384],
		["f16 where bytes are not multiplied", WIDE, "Q4_1", "avx2", 64 * 32 * 4],
	])("keeps keys and values in %s", async (_, spec, type, isa, headBytes) => {
		const model = tinyModel(spec, type);
		const keep = () => nativeKvBlockBytes({ weights: model.weights, isa });
		if (isas.includes(isa)) expect(keep()).toBe(headBytes * spec.numKvHeads * spec.numLayers);
		else expect(keep).toThrow("this CPU cannot run");
		model.dispose();
	});

	it.each([
		["int8", 8.6],
		["int4", 5.6],
	] as const)("keeps what it quantises to %s in %d bits", async (quantization, bits) => {
		const model = tinyModel(WIDE, "BF16");
		const weights = quantizeWeights(model.weights, quantization);
		const backend = await createNativeBackend({ weights, ...LIMITS });
		const parameters = weights.tensors.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
		expect((backend.info.weightBytes * 8) / parameters).toBeLessThan(bits);
		await backend.close();
		model.dispose();
	});

	it("reads any block table: only the ids count", async () => {
		await withModel(FAMILIES.qwen2, "F32", async ({ weights }) => {
			const backend = await createNativeBackend({ weights, precision: "f32", ...LIMITS });
			const tokens = randomTokens(64, FAMILIES.qwen2.vocabSize, 3);
			await backend.step([share(0, tokens, 0, Uint32Array.of(6, 1))]);
			const scattered = backend.logits(0).slice();
			await backend.step([share(0, tokens, 0, blockRange(2, 2))]);
			expect(backend.logits(0)).toEqual(scattered);
			await backend.close();
		});
	});
});
