// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { byteLevelTokenizer } from "../repository.js";
import { randomNumbers } from "./random.js";

const [LAYERS, HIDDEN, FFN, VOCABULARY, HEADS, HEAD_DIM] = [8, 256, 768, 270, 4, 64];

/**
 * Writes a Llama of 7 million random weights and a byte-level tokenizer: engine, tokenizer and sampling do all that they do
 * for a real model, and one core gives thousands of tokens a second.
 * @returns `folder`
 */
export function writeSmallModel(folder: string): string {
	mkdirSync(folder, { recursive: true });
	for (const file of ["tokenizer.json", "tokenizer_config.json"])
		copyFileSync(join(byteLevelTokenizer, file), join(folder, file));
	writeFileSync(join(folder, "config.json"), JSON.stringify(config));
	writeFileSync(join(folder, "model.safetensors"), checkpoint());
	return folder;
}

const config = {
	model_type: "llama",
	hidden_size: HIDDEN,
	intermediate_size: FFN,
	num_hidden_layers: LAYERS,
	num_attention_heads: HEADS,
	num_key_value_heads: HEADS,
	head_dim: HEAD_DIM,
	vocab_size: VOCABULARY,
	max_position_embeddings: 2048,
	tie_word_embeddings: true,
	eos_token_id: 266,
};

function shapes(): [name: string, shape: readonly number[]][] {
	const layer = (index: number): [string, readonly number[]][] => {
		const prefix = `model.layers.${index}`;
		return [
			[`${prefix}.input_layernorm.weight`, [HIDDEN]],
			[`${prefix}.post_attention_layernorm.weight`, [HIDDEN]],
			...["q", "k", "v", "o"].map((name): [string, readonly number[]] => [
				`${prefix}.self_attn.${name}_proj.weight`,
				[HIDDEN, HIDDEN],
			]),
			[`${prefix}.mlp.gate_proj.weight`, [FFN, HIDDEN]],
			[`${prefix}.mlp.up_proj.weight`, [FFN, HIDDEN]],
			[`${prefix}.mlp.down_proj.weight`, [HIDDEN, FFN]],
		];
	};
	return [
		["model.embed_tokens.weight", [VOCABULARY, HIDDEN]],
		["model.norm.weight", [HIDDEN]],
		...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
	];
}

/** safetensors: length of the header (u64 LE), header in JSON, data. */
function checkpoint(): Buffer {
	const random = randomNumbers(1);
	const header: Record<string, object> = {};
	const data: Buffer[] = [];
	let offset = 0;
	for (const [name, shape] of shapes()) {
		const count = shape.reduce((product, size) => product * size, 1);
		// Norms of one and outputs of the size of the inputs: logits in which sampling has a choice.
		const scale = Math.sqrt(3 / HIDDEN);
		const values = Float32Array.from({ length: count }, () =>
			shape.length === 1 ? 1 : (random() * 2 - 1) * scale,
		);
		header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + count * 4] };
		data.push(Buffer.from(values.buffer));
		offset += count * 4;
	}
	const json = Buffer.from(JSON.stringify(header));
	return Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(json.length)).buffer), json, ...data]);
}
