// SPDX-License-Identifier: Apache-2.0

import { DynError } from "@dyn/common";
import type { Checkpoint } from "@dyn/models";
import { requireArchitecture } from "./architecture.js";
import { Fields } from "./fields.js";
import type { ModelSpec } from "./model-spec.js";

/** Keys as written by llama.cpp's converter (gguf-py constants). */
export function ggufSpec(checkpoint: Checkpoint): ModelSpec {
	const { metadata, tensors, path } = checkpoint;
	const architecture = requireArchitecture(path, metadata.get("general.architecture"));
	const fields = new Fields(path, (key) => metadata.get(key));
	const key = (name: string) => `${architecture}.${name}`;
	const hiddenSize = fields.count(key("embedding_length"));
	const numHeads = fields.count(key("attention.head_count"));
	const headDim = fields.count(
		key("attention.key_length"),
		fields.has(key("rope.dimension_count"))
			? fields.count(key("rope.dimension_count"))
			: hiddenSize / numHeads,
	);
	const scaling = fields.raw(key("rope.scaling.type"));
	if (scaling !== undefined && scaling !== "none")
		throw fields.wrong(key("rope.scaling.type"), "absent or none", scaling);
	if (tensors.has("rope_freqs.weight")) {
		throw new DynError(
			"MODEL_FORMAT",
			`${path}: rope_freqs.weight (Llama-3 scaling baked into a tensor) is not supported; use the safetensors checkpoint`,
		);
	}
	const eot = fields.ids("tokenizer.ggml.eot_token_id");
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
		ropeScaling: null,
		tiedHead: !tensors.has("output.weight"),
		qkvBias: tensors.has("blk.0.attn_q.bias"),
		qkNorm: tensors.has("blk.0.attn_q_norm.weight"),
		eosTokenIds: [...new Set([...fields.ids("tokenizer.ggml.eos_token_id"), ...eot])],
		bosTokenId: fields.ids("tokenizer.ggml.bos_token_id")[0] ?? null,
	};
}
