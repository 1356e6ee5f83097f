// SPDX-License-Identifier: Apache-2.0
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const TEMPLATE = "{% for m in messages %}{{ m.role + ' ' + m.content + '<|end|>' }}{% endfor %}";

/**
 * Writes tokenizer and limits of a model without weights, which is all that a stock worker wants, into `directory`.
 * @returns `directory`
 */
export async function writeWeightlessModel(
	directory: string,
	tokenizerConfig: object = { eos_token: "<|end|>", chat_template: TEMPLATE },
): Promise<string> {
	await mkdir(directory, { recursive: true });
	const tokenizer = new URL("../../text/src/__fixtures__/byte-level/tokenizer.json", import.meta.url);
	await copyFile(tokenizer, join(directory, "tokenizer.json"));
	const documents = {
		"config.json": {
			architectures: ["LlamaForCausalLM"],
			model_type: "llama",
			hidden_size: 64,
			num_hidden_layers: 2,
			num_attention_heads: 2,
			vocab_size: 300,
			max_position_embeddings: 8192,
			eos_token_id: 2,
		},
		"tokenizer_config.json": tokenizerConfig,
		"generation_config.json": { eos_token_id: 2 },
	};
	for (const [name, document] of Object.entries(documents))
		await writeFile(join(directory, name), JSON.stringify(document));
	return directory;
}
