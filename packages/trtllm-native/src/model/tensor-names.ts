// SPDX-License-Identifier: Apache-2.0
import type { ModelSpec } from "./model-spec.js";

export interface ExpectedTensor {
	readonly name: string;
	readonly rows: number;
	readonly cols: number;
}

/** Every tensor that a model of this spec has, by canonical name, with its shape. Vectors have one row. */
export function* expectedTensors(spec: ModelSpec): Generator<ExpectedTensor, void, undefined> {
	const { hiddenSize: hidden, intermediateSize: ffn, vocabSize, headDim } = spec;
	const q = spec.numHeads * headDim;
	const kv = spec.numKvHeads * headDim;
	yield { name: "embed", rows: vocabSize, cols: hidden };
	yield { name: "finalNorm", rows: 1, cols: hidden };
	if (!spec.tiedHead) yield { name: "head", rows: vocabSize, cols: hidden };
	for (let i = 0; i < spec.numLayers; i++) {
		const of = (name: string, rows: number, cols: number) => ({ name: `layers.${i}.${name}`, rows, cols });
		yield of("attnNorm", 1, hidden);
		yield of("q", q, hidden);
		yield of("k", kv, hidden);
		yield of("v", kv, hidden);
		if (spec.qkvBias) {
			yield of("qBias", 1, q);
			yield of("kBias", 1, kv);
			yield of("vBias", 1, kv);
		}
		if (spec.qkNorm) {
			yield of("qNorm", 1, headDim);
			yield of("kNorm", 1, headDim);
		}
		yield of("o", hidden, q);
		yield of("mlpNorm", 1, hidden);
		yield of("gate", ffn, hidden);
		yield of("up", ffn, hidden);
		yield of("down", hidden, ffn);
	}
}

/** [Hugging Face suffix, GGUF suffix] of each canonical name. */
const LAYER_NAMES: Readonly<Record<string, readonly [string, string]>> = {
	attnNorm: ["input_layernorm.weight", "attn_norm.weight"],
	q: ["self_attn.q_proj.weight", "attn_q.weight"],
	k: ["self_attn.k_proj.weight", "attn_k.weight"],
	v: ["self_attn.v_proj.weight", "attn_v.weight"],
	qBias: ["self_attn.q_proj.bias", "attn_q.bias"],
	kBias: ["self_attn.k_proj.bias", "attn_k.bias"],
	vBias: ["self_attn.v_proj.bias", "attn_v.bias"],
	qNorm: ["self_attn.q_norm.weight", "attn_q_norm.weight"],
	kNorm: ["self_attn.k_norm.weight", "attn_k_norm.weight"],
	o: ["self_attn.o_proj.weight", "attn_output.weight"],
	mlpNorm: ["post_attention_layernorm.weight", "ffn_norm.weight"],
	gate: ["mlp.gate_proj.weight", "ffn_gate.weight"],
	up: ["mlp.up_proj.weight", "ffn_up.weight"],
	down: ["mlp.down_proj.weight", "ffn_down.weight"],
};

const TOP_NAMES: Readonly<Record<string, readonly [string, string]>> = {
	embed: ["model.embed_tokens.weight", "token_embd.weight"],
	head: ["lm_head.weight", "output.weight"],
	finalNorm: ["model.norm.weight", "output_norm.weight"],
};

/** Name of a canonical tensor in a checkpoint of the given format. */
export function checkpointName(canonical: string, format: "safetensors" | "gguf"): string {
	const column = format === "safetensors" ? 0 : 1;
	const layer = /^layers\.(\d+)\.(\w+)$/.exec(canonical);
	if (!layer) return TOP_NAMES[canonical]![column];
	const prefix = format === "safetensors" ? `model.layers.${layer[1]}.` : `blk.${layer[1]}.`;
	return prefix + LAYER_NAMES[layer[2]!]![column];
}
