// SPDX-License-Identifier: Apache-2.0
// One small decoder as both kinds of checkpoint, written as their converters would, to be changed by the tests.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GgufValue } from "@dyn/models";
import { float32Tensor, type TensorData, writeGguf, writeSafetensors } from "@dyn/models/testing";

const SIZES = { layers: 2, hidden: 32, heads: 4, kvHeads: 2, headDim: 16, ffn: 64, vocab: 40 } as const;

/** Llama 3's frequency scaling with borders inside what 8 pairs of theta 10,000 span. */
export const LLAMA3 = {
	rope_type: "llama3",
	factor: 8,
	low_freq_factor: 1,
	high_freq_factor: 4,
	original_max_position_embeddings: 64,
} as const;

export type Family = "llama" | "qwen2" | "qwen3";
export type Tensors = Map<string, TensorData>;

/** [Hugging Face name, GGUF name, rows (0: a vector), columns] */
function layout(family: Family): [string, string, number, number][] {
	const { layers, hidden, heads, kvHeads, headDim, ffn, vocab } = SIZES;
	const [q, kv] = [heads * headDim, kvHeads * headDim];
	const all: [string, string, number, number][] = [
		["model.embed_tokens.weight", "token_embd.weight", vocab, hidden],
		["model.norm.weight", "output_norm.weight", 0, hidden],
	];
	for (let i = 0; i < layers; i++) {
		const add = (huggingFace: string, gguf: string, rows: number, cols: number) =>
			all.push([`model.layers.${i}.${huggingFace}`, `blk.${i}.${gguf}`, rows, cols]);
		add("input_layernorm.weight", "attn_norm.weight", 0, hidden);
		for (const [name, size] of [["q", q], ["k", kv], ["v", kv]] as const) {
			add(`self_attn.${name}_proj.weight`, `attn_${name}.weight`, size, hidden);
			if (family === "qwen2") add(`self_attn.${name}_proj.bias`, `attn_${name}.bias`, 0, size);
			if (family === "qwen3" && name !== "v")
				add(`self_attn.${name}_norm.weight`, `attn_${name}_norm.weight`, 0, headDim);
		}
		add("self_attn.o_proj.weight", "attn_output.weight", hidden, q);
		add("post_attention_layernorm.weight", "ffn_norm.weight", 0, hidden);
		add("mlp.gate_proj.weight", "ffn_gate.weight", ffn, hidden);
		add("mlp.up_proj.weight", "ffn_up.weight", ffn, hidden);
		add("mlp.down_proj.weight", "ffn_down.weight", hidden, ffn);
	}
	return all;
}

/** Seeded values, the same for a name in both formats. */
function valuesOf(name: string, rows: number, cols: number): number[] {
	let state = [...name].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 7);
	const centre = name.includes("norm") ? 1 : 0;
	return Array.from({ length: Math.max(rows, 1) * cols }, () => {
		state = (Math.imul(state, 1664525) + 1013904223) | 0;
		return centre + state / 2 ** 33;
	});
}

/** What llama.cpp's converter does to q and k of the llama architecture: row h*16 + j*8 + i goes to h*16 + i*2 + j. */
function interleaved(values: number[], rows: number, cols: number): number[] {
	const out = new Array<number>(values.length);
	const half = SIZES.headDim / 2;
	for (let row = 0; row < rows; row++) {
		const within = row % SIZES.headDim;
		const to = row - within + (within % half) * 2 + Math.floor(within / half);
		for (let col = 0; col < cols; col++) out[to * cols + col] = values[row * cols + col]!;
	}
	return out;
}

export interface HuggingFaceFolder {
	config: Record<string, unknown>;
	/** Text of generation_config.json, if any. */
	generationConfig: string | null;
	tensors: Tensors;
}

export interface GgufFile {
	metadata: Record<string, GgufValue>;
	tensors: Tensors;
}

export function huggingFace(family: Family): HuggingFaceFolder {
	const tensors: Tensors = new Map();
	for (const [name, , rows, cols] of layout(family))
		tensors.set(name, float32Tensor(name, rows ? [rows, cols] : [cols], valuesOf(name, rows, cols)));
	return {
		config: {
			model_type: family,
			hidden_size: SIZES.hidden,
			num_hidden_layers: SIZES.layers,
			num_attention_heads: SIZES.heads,
			num_key_value_heads: SIZES.kvHeads,
			head_dim: SIZES.headDim,
			intermediate_size: SIZES.ffn,
			vocab_size: SIZES.vocab,
			max_position_embeddings: 512,
			rms_norm_eps: 0.00001,
			rope_theta: 10000,
			hidden_act: "silu",
			tie_word_embeddings: true,
			eos_token_id: 2,
			bos_token_id: 1,
		},
		generationConfig: null,
		tensors,
	};
}

export function gguf(family: Family): GgufFile {
	const tensors: Tensors = new Map();
	for (const [source, name, rows, cols] of layout(family)) {
		const plain = valuesOf(source, rows, cols);
		const reordered = family === "llama" && /attn_[qk]\.weight/.test(name);
		const values = reordered ? interleaved(plain, rows, cols) : plain;
		tensors.set(name, float32Tensor(name, rows ? [rows, cols] : [cols], values));
	}
	return {
		metadata: {
			"general.architecture": family,
			[`${family}.block_count`]: SIZES.layers,
			[`${family}.embedding_length`]: SIZES.hidden,
			[`${family}.attention.head_count`]: SIZES.heads,
			[`${family}.attention.head_count_kv`]: SIZES.kvHeads,
			[`${family}.attention.key_length`]: SIZES.headDim,
			[`${family}.attention.value_length`]: SIZES.headDim,
			[`${family}.feed_forward_length`]: SIZES.ffn,
			[`${family}.context_length`]: 512,
			[`${family}.attention.layer_norm_rms_epsilon`]: 0.00001,
			[`${family}.rope.freq_base`]: 10000,
			"tokenizer.ggml.eos_token_id": 2,
			"tokenizer.ggml.bos_token_id": 1,
		},
		tensors,
	};
}

/** A folder of its own for one test file. */
export function checkpointFolder(): {
	saveHuggingFace(folder: HuggingFaceFolder): Promise<string>;
	saveGguf(file: GgufFile): Promise<string>;
	dispose(): void;
} {
	const root = mkdtempSync(join(tmpdir(), "dyn-checkpoint-"));
	let count = 0;
	return {
		async saveHuggingFace({ config, generationConfig, tensors }) {
			const folder = join(root, String(count++));
			mkdirSync(folder);
			writeFileSync(join(folder, "config.json"), JSON.stringify(config));
			if (generationConfig !== null) writeFileSync(join(folder, "generation_config.json"), generationConfig);
			await writeSafetensors(join(folder, "model.safetensors"), [...tensors.values()]);
			return folder;
		},
		async saveGguf({ metadata, tensors }) {
			const file = join(root, `${count++}.gguf`);
			await writeGguf(file, metadata, [...tensors.values()]);
			return file;
		},
		dispose: () => rmSync(root, { recursive: true }),
	};
}
