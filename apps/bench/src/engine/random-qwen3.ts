// SPDX-License-Identifier: Apache-2.0
import { float32Tensor, type TensorData, writeGguf } from "@dyn/models/testing";
import { randomNumbers } from "../endurance/random.js";

/** Name of a checkpoint with Qwen3-0.6B's shape and random bf16 weights: a second size of model, without a download. */
export const RANDOM_QWEN3 = "random-qwen3-0.6b";

// config.json of Qwen/Qwen3-0.6B.
const [LAYERS, HIDDEN, FFN, VOCABULARY, HEADS, KV_HEADS, HEAD_DIM] = [28, 1024, 3072, 151_936, 16, 8, 128];

/** A GGUF file as llama.cpp's converter writes it, with a vocabulary that has no texts. */
export async function writeRandomQwen3(path: string): Promise<void> {
	await writeGguf(path, metadata, tensors());
}

const metadata = {
	"general.architecture": "qwen3",
	"general.name": RANDOM_QWEN3,
	"qwen3.block_count": LAYERS,
	"qwen3.context_length": 40_960,
	"qwen3.embedding_length": HIDDEN,
	"qwen3.feed_forward_length": FFN,
	"qwen3.attention.head_count": HEADS,
	"qwen3.attention.head_count_kv": KV_HEADS,
	"qwen3.attention.key_length": HEAD_DIM,
	"qwen3.attention.value_length": HEAD_DIM,
	"qwen3.attention.layer_norm_rms_epsilon": 1e-6,
	"qwen3.rope.freq_base": 1_000_000.5, // a float in the file, which whole numbers would not be
	"qwen3.vocab_size": VOCABULARY,
	"tokenizer.ggml.model": "none",
};

function tensors(): TensorData[] {
	const values = bf16Values(VOCABULARY * HIDDEN + LAYERS * 7 * SHIFT);
	let shift = 0;
	const matrix = (name: string, rows: number, cols: number): TensorData => {
		const from = shift++ * SHIFT * 2;
		const bytes = values.subarray(from, from + rows * cols * 2);
		return { name: `${name}.weight`, type: "BF16", shape: [rows, cols], bytes };
	};
	const norm = (name: string, size: number) =>
		float32Tensor(`${name}.weight`, [size], new Array(size).fill(1));
	const layer = (index: number): TensorData[] => {
		const prefix = `blk.${index}`;
		return [
			norm(`${prefix}.attn_norm`, HIDDEN),
			matrix(`${prefix}.attn_q`, HEADS * HEAD_DIM, HIDDEN),
			matrix(`${prefix}.attn_k`, KV_HEADS * HEAD_DIM, HIDDEN),
			matrix(`${prefix}.attn_v`, KV_HEADS * HEAD_DIM, HIDDEN),
			norm(`${prefix}.attn_q_norm`, HEAD_DIM),
			norm(`${prefix}.attn_k_norm`, HEAD_DIM),
			matrix(`${prefix}.attn_output`, HIDDEN, HEADS * HEAD_DIM),
			norm(`${prefix}.ffn_norm`, HIDDEN),
			matrix(`${prefix}.ffn_gate`, FFN, HIDDEN),
			matrix(`${prefix}.ffn_up`, FFN, HIDDEN),
			matrix(`${prefix}.ffn_down`, HIDDEN, FFN),
		];
	};
	return [
		matrix("token_embd", VOCABULARY, HIDDEN),
		norm("output_norm", HIDDEN),
		...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
	];
}

/** Matrices are views of the same values, each from so many values further on than the one before. */
const SHIFT = 4096;
/** So many values are random and then come again: a prime, so that no two rows of a matrix are alike. */
const PERIOD = 1_048_573;

/** Bytes of `count` bf16 numbers: outputs of matrices have the size of their inputs, so nothing overflows in any layer. */
function bf16Values(count: number): Uint8Array {
	const random = randomNumbers(1);
	const scale = Math.sqrt(3 / HIDDEN);
	const period = Float32Array.from({ length: PERIOD }, () => (random() * 2 - 1) * scale);
	const halves = Uint16Array.from(new Uint32Array(period.buffer), (bits) => bits >>> 16);
	const values = new Uint16Array(count);
	for (let at = 0; at < count; at += PERIOD) values.set(halves.subarray(0, count - at), at);
	return new Uint8Array(values.buffer);
}
