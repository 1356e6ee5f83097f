// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { float32Tensor } from "@dyn/models/testing";
import { afterAll, describe, expect, it } from "vitest";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import {
	checkpointFolder,
	type Family,
	type GgufFile,
	gguf,
	type HuggingFaceFolder,
	huggingFace,
	LLAMA3,
} from "./__fixtures__/tiny-checkpoint.js";
import { loadModelWeights } from "./load-model-weights.js";
import type { ModelWeights } from "./model-spec.js";
import { ropeFrequencies } from "./rope-frequencies.js";

const files = checkpointFolder();
afterAll(() => files.dispose());
const FAMILIES: readonly Family[] = ["llama", "qwen2", "qwen3"];

async function loadHuggingFace(
	family: Family,
	change?: (folder: HuggingFaceFolder) => void,
): Promise<ModelWeights> {
	const folder = huggingFace(family);
	change?.(folder);
	return loadModelWeights(await files.saveHuggingFace(folder));
}

async function loadGguf(family: Family, change?: (file: GgufFile) => void): Promise<ModelWeights> {
	const file = gguf(family);
	change?.(file);
	return loadModelWeights(await files.saveGguf(file));
}

const configured =
	(key: string, value: unknown) =>
	({ config }: HuggingFaceFolder): void => {
		config[key] = value;
	};
const generationConfig =
	(text: string) =>
	(folder: HuggingFaceFolder): void => {
		folder.generationConfig = text;
	};

/** The logits after a prompt, in f32: every weight has a part in them. */
async function logitsOf(weights: ModelWeights): Promise<number[]> {
	const backend = await createReferenceBackend({
		weights,
		numKvBlocks: 1,
		maxSequences: 1,
		maxBatchedTokens: 5,
	});
	const tokens = Uint32Array.of(3, 1, 4, 1, 5);
	await backend.step([{ slot: 0, tokens, position: 0, blocks: Uint32Array.of(0), output: "logits" }]);
	const logits = [...backend.logits(0)];
	await backend.close();
	return logits;
}

/** The error that a load ends with: always a typed one. */
async function refusal(load: Promise<ModelWeights>): Promise<string> {
	const error = await load.then(
		() => null,
		(thrown: unknown) => thrown,
	);
	expect(DynError.is(error, "MODEL_FORMAT"), String(error)).toBe(true);
	return (error as DynError).message;
}

describe.each(FAMILIES)("%s", (family) => {
	it("is the same model as safetensors and as GGUF", async () => {
		const [one, other] = [await loadHuggingFace(family), await loadGguf(family)];
		expect({ ...one.spec, rmsNormEps: 0 }).toEqual({ ...other.spec, rmsNormEps: 0 });
		expect(one.spec.rmsNormEps).toBeCloseTo(other.spec.rmsNormEps, 12); // GGUF has it as f32
		expect(one.tensors.map(({ name }) => name)).toEqual(other.tensors.map(({ name }) => name));
		const [a, b] = [await logitsOf(one), await logitsOf(other)];
		expect(new Set(a).size).toBe(a.length);
		for (const [id, logit] of a.entries()) expect(b[id]).toBeCloseTo(logit, 5);
	});

	it("has the parts of its family", async () => {
		const { spec, tensors } = await loadHuggingFace(family);
		expect(spec).toMatchObject({
			architecture: family,
			qkvBias: family === "qwen2",
			qkNorm: family === "qwen3",
			tiedHead: true,
			headDim: 16,
			numKvHeads: 2,
			bosTokenId: 1,
		});
		const parts = tensors.filter(({ name }) => name.startsWith("layers.1.")).map(({ name }) => name.slice(9));
		expect(parts.includes("vBias")).toBe(family === "qwen2");
		expect(parts.includes("kNorm")).toBe(family === "qwen3");
	});

	it.each(["safetensors", "GGUF"] as const)("misses no tensor silently (%s)", async (format) => {
		const names = [...(format === "GGUF" ? gguf(family) : huggingFace(family)).tensors.keys()];
		for (const name of names) {
			const drop = ({ tensors }: { tensors: Map<string, unknown> }) => void tensors.delete(name);
			const load = format === "GGUF" ? loadGguf(family, drop) : loadHuggingFace(family, drop);
			expect(await refusal(load)).toMatch(/is missing|has no place|vocab_size must be/);
		}
	});
});

describe("an output head", () => {
	const head = (name: string) =>
		float32Tensor(
			name,
			[40, 32],
			Array.from({ length: 40 * 32 }, (_, i) => Math.sin(i)),
		);

	it("of its own is used, whatever the configuration says", async () => {
		for (const tied of [true, false, undefined]) {
			const { spec, tensors } = await loadHuggingFace("qwen2", (folder) => {
				folder.config["tie_word_embeddings"] = tied;
				folder.tensors.set("lm_head.weight", head("lm_head.weight"));
			});
			expect([spec.tiedHead, tensors.some(({ name }) => name === "head")]).toEqual([false, true]);
		}
		const { spec } = await loadGguf("llama", ({ tensors }) =>
			tensors.set("output.weight", head("output.weight")),
		);
		expect(spec.tiedHead).toBe(false);
	});

	it("is the embedding where none is, unless one was promised", async () => {
		expect(await refusal(loadHuggingFace("llama", configured("tie_word_embeddings", false)))).toContain(
			"the tensor lm_head.weight is missing",
		);
		expect((await loadHuggingFace("llama", configured("tie_word_embeddings", undefined))).spec.tiedHead).toBe(
			true,
		);
	});
});

describe("defaults of config.json", () => {
	it("apply where it is silent", async () => {
		const { spec } = await loadHuggingFace("llama", ({ config, tensors }) => {
			for (const key of ["head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta", "eos_token_id"])
				delete config[key];
			config["num_attention_heads"] = 2; // head_dim: 32 / 2, and so the shapes of q and o
			for (const [name, shape] of [
				["q_proj", [32, 32]],
				["o_proj", [32, 32]],
			] as const)
				for (const i of [0, 1]) {
					const full = `model.layers.${i}.self_attn.${name}.weight`;
					tensors.set(full, float32Tensor(full, shape, new Array(32 * 32).fill(0)));
				}
		});
		expect(spec).toMatchObject({
			headDim: 16,
			contextLength: 2048,
			rmsNormEps: 1e-6,
			ropeTheta: 10_000,
			eosTokenIds: [],
		});
	});
});

describe("ids that end a turn", () => {
	it("come from both configuration files, once each, without those outside the vocabulary", async () => {
		const { spec } = await loadHuggingFace("llama", (folder) => {
			folder.config["eos_token_id"] = [2, 7];
			folder.generationConfig = JSON.stringify({ eos_token_id: [7, 9, 40] });
		});
		expect(spec.eosTokenIds).toEqual([2, 7, 9]);
	});

	it("come from eos and end-of-turn of a GGUF file", async () => {
		const { spec } = await loadGguf("qwen2", ({ metadata }) => {
			metadata["tokenizer.ggml.eot_token_id"] = 5;
		});
		expect(spec.eosTokenIds).toEqual([2, 5]);
	});
});

describe("Llama 3's RoPE scaling", () => {
	// The formula of transformers' _compute_llama3_parameters, written out for pairs of theta 10,000, head dimension 16.
	const expected = Array.from({ length: 8 }, (_, i) => {
		const frequency = 10_000 ** (-i / 8);
		const wavelength = (2 * Math.PI) / frequency;
		if (wavelength < 64 / 4) return frequency;
		if (wavelength > 64) return frequency / 8;
		const smooth = (64 / wavelength - 1) / (4 - 1);
		return (1 - smooth) * (frequency / 8) + smooth * frequency;
	});

	it("keeps short wavelengths, divides long ones, blends those between", () => {
		const ratios = expected.map((frequency, i) => frequency / 10_000 ** (-i / 8));
		expect(ratios.filter((ratio) => ratio === 1)).toHaveLength(1);
		expect(ratios.filter((ratio) => ratio > 1 / 8 && ratio < 1)).toHaveLength(2);
	});

	it.each([
		["rope_scaling", LLAMA3],
		["rope_scaling", { ...LLAMA3, rope_type: undefined, type: "llama3" }],
		["rope_parameters", { ...LLAMA3, rope_theta: 10_000 }],
	])("is read from %s", async (key, value) => {
		const { spec } = await loadHuggingFace("llama", ({ config }) => {
			if (key === "rope_parameters") delete config["rope_theta"];
			config[key] = value;
		});
		for (const [i, frequency] of ropeFrequencies(spec).entries())
			expect(frequency / expected[i]!).toBeCloseTo(1, 6);
	});

	it("is the same from the divisors of a GGUF file", async () => {
		const { spec } = await loadGguf("llama", ({ tensors }) => {
			// As the converter writes them: 1, factor, or 1 / ((1 - smooth) / factor + smooth).
			const divisors = expected.map((frequency, i) => 10_000 ** (-i / 8) / frequency);
			tensors.set("rope_freqs.weight", float32Tensor("rope_freqs.weight", [8], divisors));
		});
		for (const [i, frequency] of ropeFrequencies(spec).entries())
			expect(frequency / expected[i]!).toBeCloseTo(1, 6);
	});

	it("is absent by default, and in transformers 5's form of the default", async () => {
		expect((await loadHuggingFace("llama")).spec.ropeScaling).toBeNull();
		const { spec } = await loadHuggingFace("llama", ({ config }) => {
			config["rope_parameters"] = { rope_type: "default", rope_theta: 500_000 };
		});
		expect(spec).toMatchObject({ ropeScaling: null, ropeTheta: 500_000 });
	});
});

describe("what would load and answer nonsense is refused", () => {
	it.each<[string, unknown, string]>([
		[
			"model_type",
			"mistral",
			'model_type must be an architecture that this engine computes (llama, qwen2, qwen3), but is "mistral"',
		],
		["model_type", undefined, "model_type must be an architecture"],
		["hidden_size", 33.5, "hidden_size must be a positive integer, but is 33.5"],
		["hidden_size", undefined, "hidden_size must be a positive integer, but is missing"],
		["num_hidden_layers", 1e15, "the tensor model.layers.2.input_layernorm.weight is missing"],
		[
			"num_hidden_layers",
			1,
			"the tensor model.layers.1.input_layernorm.weight has no place in a llama decoder of 1 layers",
		],
		["num_key_value_heads", 3, "4 query heads are not a multiple of 3 KV heads"],
		["head_dim", 8, "the head dimension 8 is not a multiple of 16"],
		["intermediate_size", 47, "must be even"],
		[
			"vocab_size",
			41,
			"the tensor model.embed_tokens.weight has shape [40, 32], but the model needs [41, 32]",
		],
		["hidden_size", 34, "has shape [40, 32], but the model needs [40, 34]"],
		["hidden_act", "gelu", 'hidden_act must be absent or "silu"'],
		["mlp_bias", true, "mlp_bias must be absent or false"],
		["use_sliding_window", true, "use_sliding_window"],
		["partial_rotary_factor", 0.5, "partial_rotary_factor"],
		["attention_bias", true, "the tensor model.layers.0.self_attn.q_proj.bias is missing"],
		["eos_token_id", "</s>", "eos_token_id must be a token id"],
		["tie_word_embeddings", "yes", "tie_word_embeddings must be true or false"],
		["rms_norm_eps", -1, "rms_norm_eps must be a positive number"],
		["rope_theta", 0, "rope_theta must be a positive number"],
		[
			"rope_scaling",
			{ rope_type: "yarn", factor: 4 },
			'rope_scaling: rope_type must be "llama3" or "default", but is "yarn"',
		],
		["rope_scaling", { type: "linear", factor: 2 }, 'rope_scaling: type must be "llama3"'],
		["rope_scaling", { ...LLAMA3, factor: "8" }, "rope_scaling: factor must be a positive number"],
		["rope_scaling", { ...LLAMA3, high_freq_factor: 1 }, "high_freq_factor above low_freq_factor"],
		["rope_scaling", "llama3", "rope_scaling must be an object"],
		["rope_parameters", { rope_theta: -1 }, "rope_parameters: rope_theta must be a positive number"],
	])("config.json: %s %j", async (key, value, message) => {
		expect(await refusal(loadHuggingFace("llama", configured(key, value)))).toContain(message);
	});

	it.each<[string, GgufFile["metadata"][string], string]>([
		["general.architecture", "gemma", "general.architecture must be an architecture"],
		["general.architecture", 2n ** 63n, 'but is "9223372036854775808"'],
		["llama.embedding_length", 2n ** 63n, "llama.embedding_length must be a positive integer"],
		[
			"llama.attention.head_count",
			[4, 4],
			"llama.attention.head_count must be a positive integer, but is [4,4]",
		],
		["llama.rope.dimension_count", 8, "llama.rope.dimension_count must be the head dimension, 16, but is 8"],
		["llama.attention.value_length", 32, "llama.attention.value_length must be the head dimension"],
		[
			"llama.rope.scaling.type",
			"yarn",
			'llama.rope.scaling.type must be absent, none or linear, but is "yarn"',
		],
		["llama.rope.scaling.factor", 2.5, "llama.rope.scaling.factor must be absent, 0 or 1"],
		["llama.rope.scale_linear", 4, "llama.rope.scale_linear"],
		["tokenizer.ggml.eos_token_id", [1n, 2n ** 63n], "tokenizer.ggml.eos_token_id must be a token id"],
	])("GGUF: %s %s", async (key, value, message) => {
		expect(
			await refusal(
				loadGguf("llama", ({ metadata }) => {
					metadata[key] = value;
				}),
			),
		).toContain(message);
	});

	it.each<[string, number[], number[], string]>([
		["rope_freqs.weight", [4], [1, 1, 1, 1], "rope_freqs.weight has shape [4], but the model needs [8]"],
		["rope_freqs.weight", [8], [1, 1, 1, 1, 0, 8, 8, 8], "rope_freqs.weight divides by 0"],
		["blk.0.attn_output.bias", [32], new Array(32).fill(1), "blk.0.attn_output.bias has no place"],
		[
			"blk.1.attn_norm.weight",
			[1, 1, 32],
			new Array(32).fill(1),
			"has shape [1, 1, 32], but the model needs [32]",
		],
		[
			"blk.1.ffn_up.weight",
			[32, 64],
			new Array(32 * 48).fill(1),
			"has shape [32, 64], but the model needs [64, 32]",
		],
	])("the tensor %s of shape %j", async (name, shape, values, message) => {
		expect(
			await refusal(
				loadGguf("llama", ({ tensors }) => tensors.set(name, float32Tensor(name, shape, values))),
			),
		).toContain(message);
	});

	it("a generation_config.json that is no JSON, or has no ids", async () => {
		for (const [text, message] of [
			["{", "generation_config.json is not JSON"],
			['{"eos_token_id": "no"}', "generation_config.json: eos_token_id must be"],
		] as const)
			expect(await refusal(loadHuggingFace("llama", generationConfig(text)))).toContain(message);
		const { spec } = await loadHuggingFace("llama", generationConfig("null"));
		expect(spec.eosTokenIds).toEqual([2]);
	});
});

describe("what llama.cpp and transformers leave in a checkpoint without harm", () => {
	it("is ignored", async () => {
		const name = "model.layers.0.self_attn.rotary_emb.inv_freq";
		await loadHuggingFace("llama", ({ tensors }) =>
			tensors.set(name, float32Tensor(name, [8], new Array(8).fill(1))),
		);
		await loadGguf("llama", ({ metadata }) => {
			Object.assign(metadata, {
				"split.count": 0,
				"llama.rope.scaling.type": "linear",
				"llama.rope.scaling.factor": 1,
			});
		});
	});

	it("is what a vector may be: one row", async () => {
		const { tensors } = await loadHuggingFace("llama", ({ tensors }) => {
			const norm = tensors.get("model.norm.weight")!;
			tensors.set(norm.name, { ...norm, shape: [1, 32] });
		});
		expect(tensors.find(({ name }) => name === "finalNorm")).toMatchObject({ rows: 1, cols: 32 });
	});
});
