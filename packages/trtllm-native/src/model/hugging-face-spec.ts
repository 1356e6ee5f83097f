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
	const architecture = requireArchitecture(where, config["model_type"]);
	const hiddenSize = fields.count("hidden_size");
	const numHeads = fields.count("num_attention_heads");
	const act = config["hidden_act"] ?? "silu";
	if (act !== "silu") throw fields.wrong("hidden_act", '"silu"', act);
	if (config["mlp_bias"] === true) throw fields.wrong("mlp_bias", "false", true);
	if (config["use_sliding_window"] === true)
		throw fields.wrong("use_sliding_window", "false: sliding windows are not supported", true);
	// transformers 5 writes rope_parameters where 4 wrote rope_theta and rope_scaling.
	const rope = (config["rope_parameters"] ?? config["rope_scaling"] ?? null) as Record<
		string,
		unknown
	> | null;
	const eosTokenIds = [...new Set([...fields.ids("eos_token_id"), ...generationEos(checkpoint.path)])];
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
		ropeTheta:
			typeof rope?.["rope_theta"] === "number" ? rope["rope_theta"] : fields.positive("rope_theta", 10_000),
		ropeScaling: ropeScaling(where, rope),
		tiedHead: fields.flag("tie_word_embeddings", false),
		qkvBias: architecture === "qwen2" || fields.flag("attention_bias", false),
		qkNorm: architecture === "qwen3",
		eosTokenIds,
		bosTokenId: fields.ids("bos_token_id")[0] ?? null,
	};
}

function ropeScaling(where: string, rope: Record<string, unknown> | null): RopeScaling | null {
	const type = rope?.["rope_type"] ?? rope?.["type"] ?? "default";
	if (!rope || type === "default") return null;
	if (type !== "llama3")
		throw new DynError(
			"MODEL_FORMAT",
			`${where}: the RoPE scaling ${JSON.stringify(type)} is not supported; supported: llama3`,
		);
	const fields = new Fields(`${where}: rope_scaling`, (key) => rope[key]);
	return {
		factor: fields.positive("factor"),
		lowFreqFactor: fields.positive("low_freq_factor"),
		highFreqFactor: fields.positive("high_freq_factor"),
		originalContextLength: fields.count("original_max_position_embeddings"),
	};
}

/** Chat models often end turns with ids that only generation_config.json names. */
function generationEos(folder: string): number[] {
	const file = join(folder, "generation_config.json");
	if (!existsSync(file)) return [];
	try {
		const values = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
		return new Fields(file, (key) => values[key]).ids("eos_token_id");
	} catch (error) {
		if (DynError.is(error)) throw error;
		throw new DynError("MODEL_FORMAT", `${file} is not JSON`, { cause: error });
	}
}
