// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const [hidden, ffn, vocab, heads, headDim] = [32, 64, 96, 2, 16];
const matrices = {
	"model.embed_tokens.weight": [vocab, hidden],
	"model.norm.weight": [hidden],
	"model.layers.0.input_layernorm.weight": [hidden],
	"model.layers.0.post_attention_layernorm.weight": [hidden],
	"model.layers.0.self_attn.q_proj.weight": [heads * headDim, hidden],
	"model.layers.0.self_attn.k_proj.weight": [headDim, hidden],
	"model.layers.0.self_attn.v_proj.weight": [headDim, hidden],
	"model.layers.0.self_attn.o_proj.weight": [hidden, heads * headDim],
	"model.layers.0.mlp.gate_proj.weight": [ffn, hidden],
	"model.layers.0.mlp.up_proj.weight": [ffn, hidden],
	"model.layers.0.mlp.down_proj.weight": [hidden, ffn],
};
const config = {
	model_type: "llama",
	hidden_size: hidden,
	intermediate_size: ffn,
	num_hidden_layers: 1,
	num_attention_heads: heads,
	num_key_value_heads: 1,
	head_dim: headDim,
	vocab_size: vocab,
	max_position_embeddings: 128,
	tie_word_embeddings: true,
	eos_token_id: 1,
};

/** Writes a Llama decoder of one layer into `folder`, with weights that are a sine. */
export function writeSmallCheckpoint(folder) {
	const header = {};
	const data = [];
	let offset = 0;
	for (const [name, shape] of Object.entries(matrices)) {
		const count = shape.reduce((product, size) => product * size, 1);
		header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + count * 4] };
		data.push(Buffer.from(Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) / 4).buffer));
		offset += count * 4;
	}
	const json = Buffer.from(JSON.stringify(header));
	writeFileSync(
		join(folder, "model.safetensors"),
		Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(json.length)).buffer), json, ...data]),
	);
	writeFileSync(join(folder, "config.json"), JSON.stringify(config));
}
