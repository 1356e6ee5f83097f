// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import type { Checkpoint } from "@dyn/models";
import { requireArchitecture } from "./architecture.js";
import { Fields } from "./fields.js";
import type { ModelSpec, RopeScaling } from "./model-spec.js";

/** Defaults of transformers' LlamaConfig, Qwen2Config and Qwen3Config apply where config.json is silent. */
export function huggingFaceSpec(checkpoint: Checkpoint): ModelSpec {
	const config = checkpoint.config ?? {};
	const where = join(checkpoint.path, "config.json");
	const fields = new Fields(where, (key) => config[key]);
	const architecture = requireArchitecture(fields, "model_type");
	refuseUnsupported(fields);
	const hiddenSize = fields.count("hidden_size");
	const numHeads = fields.count("num_attention_heads");
	// transformers 5 writes rope_parameters where 4 wrote rope_theta and rope_scaling.
	const rope = fields.object(fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
	const hasHead = checkpoint.tensors.has("lm_head.weight");
	return {
		architecture,
		numLayers: fields.count("num_hidden_layers"),
		hiddenSize,
		numHeads,
		numKvHeads: fields.count("num_key_value_heads", numHeads),
		headDim: fields.count("head_dim", hiddenSize / numHeads),
		intermediateSize: fields.count("intermediate_size"),
		vocabSize: fields.count("vocab_size"),
		contextLength: fields.count("max_position_embeddings", 2048),
		rmsNormEps: fields.positive("rms_norm_eps", 1e-6),
		ropeTheta: rope?.has("rope_theta") ? rope.positive("rope_theta") : fields.positive("rope_theta", 10_000),
		ropeScaling: rope && ropeScaling(rope),
		// Some say "tied" and bring a head all the same: it is used. "Not tied" without one is an incomplete checkpoint.
		tiedHead: fields.flag("tie_word_embeddings", !hasHead) && !hasHead,
		qkvBias: architecture === "qwen2" || fields.flag("attention_bias", false),
		qkNorm: architecture === "qwen3",
		// Chat models often end turns with ids that only generation_config.json names.
		eosTokenIds: [...fields.ids("eos_token_id"), ...generationEos(checkpoint.path)],
		bosTokenId: fields.ids("bos_token_id")[0] ?? null,
	};
}

/** Variants that would load, because their tensors fit, and compute nonsense. */
function refuseUnsupported(fields: Fields): void {
	const only = (key: string, value: unknown) => {
		if (fields.has(key) && fields.raw(key) !== value)
			throw fields.wrong(key, `absent or ${JSON.stringify(value)}`, fields.raw(key));
	};
	only("hidden_act", "silu");
	only("mlp_bias", false);
	only("use_sliding_window", false);
	only("partial_rotary_factor", 1);
}

function ropeScaling(rope: Fields): RopeScaling | null {
	const key = rope.has("rope_type") ? "rope_type" : "type";
	const type = rope.raw(key) ?? "default";
	if (type === "default") return null;
	if (type !== "llama3") throw rope.wrong(key, '"llama3" or "default"', type);
	return {
		factor: rope.positive("factor"),
		lowFreqFactor: rope.positive("low_freq_factor"),
		highFreqFactor: rope.positive("high_freq_factor"),
		originalContextLength: rope.count("original_max_position_embeddings"),
	};
}

function generationEos(folder: string): number[] {
	const file = join(folder, "generation_config.json");
	if (!existsSync(file)) return [];
	let values: Record<string, unknown> | null;
	try {
		values = JSON.parse(readFileSync(file, "utf8"));
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${file} is not JSON`, { cause: error });
	}
	return new Fields(file, (key) => values?.[key]).ids("eos_token_id");
}
