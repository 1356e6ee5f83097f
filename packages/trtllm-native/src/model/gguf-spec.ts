// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { type Checkpoint, readTensor } from "@dyn/models";
import { requireArchitecture } from "./architecture.js";
import { Fields } from "./fields.js";
import type { ModelSpec, RopeScaling } from "./model-spec.js";

/** Keys as written by llama.cpp's converter (gguf-py constants). */
export async function ggufSpec(checkpoint: Checkpoint): Promise<ModelSpec> {
	const { metadata, tensors, path } = checkpoint;
	const fields = new Fields(path, (key) => metadata.get(key));
	const architecture = requireArchitecture(fields, "general.architecture");
	const key = (name: string) => `${architecture}.${name}`;
	const hiddenSize = fields.count(key("embedding_length"));
	const numHeads = fields.count(key("attention.head_count"));
	const rotated = key("rope.dimension_count");
	const headDim = fields.count(
		key("attention.key_length"),
		fields.has(rotated) ? fields.count(rotated) : hiddenSize / numHeads,
	);
	for (const same of [rotated, key("attention.value_length")])
		if (fields.count(same, headDim) !== headDim)
			throw fields.wrong(same, `the head dimension, ${headDim}`, fields.raw(same));
	return {
		architecture,
		numLayers: fields.count(key("block_count")),
		hiddenSize,
		numHeads,
		numKvHeads: fields.count(key("attention.head_count_kv"), numHeads),
		headDim,
		intermediateSize: fields.count(key("feed_forward_length")),
		vocabSize: tensors.get("token_embd.weight")?.shape[0] ?? fields.count(key("vocab_size")),
		contextLength: fields.count(key("context_length")),
		rmsNormEps: fields.positive(key("attention.layer_norm_rms_epsilon")),
		ropeTheta: fields.positive(key("rope.freq_base"), 10_000),
		ropeScaling: await ropeScaling(checkpoint, fields, key, headDim),
		tiedHead: !tensors.has("output.weight"),
		qkvBias: architecture === "qwen2" || tensors.has("blk.0.attn_q.bias"),
		qkNorm: architecture === "qwen3",
		eosTokenIds: [...fields.ids("tokenizer.ggml.eos_token_id"), ...fields.ids("tokenizer.ggml.eot_token_id")],
		bosTokenId: fields.ids("tokenizer.ggml.bos_token_id")[0] ?? null,
	};
}

/** Llama 3's scaling is a tensor of divisors. Others (linear, YaRN) are named in metadata and not supported. */
async function ropeScaling(
	{ tensors, path }: Checkpoint,
	fields: Fields,
	key: (name: string) => string,
	headDim: number,
): Promise<RopeScaling | null> {
	const type = key("rope.scaling.type");
	if (fields.has(type) && fields.raw(type) !== "none" && fields.raw(type) !== "linear")
		throw fields.wrong(type, "absent, none or linear", fields.raw(type));
	for (const factor of [key("rope.scaling.factor"), key("rope.scale_linear")])
		if (fields.has(factor) && fields.raw(factor) !== 0 && fields.raw(factor) !== 1)
			throw fields.wrong(factor, "absent, 0 or 1", fields.raw(factor));
	const tensor = tensors.get("rope_freqs.weight");
	if (!tensor) return null;
	const count = headDim / 2;
	if (tensor.shape.length !== 1 || tensor.shape[0] !== count)
		throw new DynError(
			"MODEL_FORMAT",
			`${path}: the tensor rope_freqs.weight has shape [${tensor.shape}], but the model needs [${count}]`,
		);
	const divisors = [...(await readTensor(tensor, count))];
	const wrong = divisors.find((divisor) => !(divisor > 0 && divisor < Infinity));
	if (wrong !== undefined)
		throw new DynError("MODEL_FORMAT", `${path}: the tensor rope_freqs.weight divides by ${wrong}`);
	return { divisors };
}
