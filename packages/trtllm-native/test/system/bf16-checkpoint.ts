// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readTensor } from "@dyn/models";
import { loadModelWeights } from "@dyn/trtllm-native";

const NAMES: Readonly<Record<string, string>> = {
	embed: "model.embed_tokens.weight",
	head: "lm_head.weight",
	finalNorm: "model.norm.weight",
	attnNorm: "input_layernorm.weight",
	q: "self_attn.q_proj.weight",
	k: "self_attn.k_proj.weight",
	v: "self_attn.v_proj.weight",
	o: "self_attn.o_proj.weight",
	mlpNorm: "post_attention_layernorm.weight",
	gate: "mlp.gate_proj.weight",
	up: "mlp.up_proj.weight",
	down: "mlp.down_proj.weight",
};

/** Writes a llama GGUF file's weights as a Hugging Face folder in bf16, rounded to nearest even, q and k rows put back in order. */
export async function writeBf16Checkpoint(gguf: string, folder: string): Promise<void> {
	const { spec, tensors } = await loadModelWeights(gguf);
	const header: Record<string, object> = {};
	const data: Uint16Array[] = [];
	let offset = 0;
	for (const tensor of tensors) {
		const [, layer, name] = /^(?:layers\.(\d+)\.)?(\w+)$/.exec(tensor.name)!;
		const values = reordered(
			await readTensor(tensor, tensor.rows * tensor.cols),
			tensor.rows,
			tensor.cols,
			tensor.permutedHeads,
		);
		const shape = tensor.rows === 1 ? [tensor.cols] : [tensor.rows, tensor.cols];
		header[layer === undefined ? NAMES[name!]! : `model.layers.${layer}.${NAMES[name!]}`] = {
			dtype: "BF16",
			shape,
			data_offsets: [offset, offset + values.length * 2],
		};
		data.push(toBf16(values));
		offset += values.length * 2;
	}
	const json = Buffer.from(JSON.stringify(header));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(json.length));
	await writeFile(
		join(folder, "model.safetensors"),
		Buffer.concat([length, json, ...data.map((part) => Buffer.from(part.buffer))]),
	);
	const config = {
		model_type: "llama",
		hidden_size: spec.hiddenSize,
		intermediate_size: spec.intermediateSize,
		num_hidden_layers: spec.numLayers,
		num_attention_heads: spec.numHeads,
		num_key_value_heads: spec.numKvHeads,
		head_dim: spec.headDim,
		vocab_size: spec.vocabSize,
		max_position_embeddings: spec.contextLength,
		rms_norm_eps: spec.rmsNormEps,
		rope_theta: spec.ropeTheta,
		tie_word_embeddings: spec.tiedHead,
		eos_token_id: spec.eosTokenIds,
	};
	await writeFile(join(folder, "config.json"), JSON.stringify(config));
}

function reordered(stored: Float32Array, rows: number, cols: number, heads: number): Float32Array {
	if (heads === 0) return stored;
	const half = rows / heads / 2;
	const out = new Float32Array(stored.length);
	for (let row = 0; row < rows; row++) {
		const [head, pair, which] = [Math.floor(row / (2 * half)), Math.floor((row % (2 * half)) / 2), row % 2];
		out.set(stored.subarray(row * cols, (row + 1) * cols), (head * 2 * half + which * half + pair) * cols);
	}
	return out;
}

function toBf16(values: Float32Array): Uint16Array {
	const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
	return Uint16Array.from(bits, (value) => (value + 0x7fff + ((value >>> 16) & 1)) >>> 16);
}
