// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "@dyn/models";

/** Writes the tokenizer files of a Hugging Face folder from a GGUF file with the `smollm` pre-tokenizer. */
export async function writeHuggingFaceFolder(gguf: string, folder: string): Promise<void> {
	const { metadata } = await openCheckpoint(gguf);
	const key = <T>(name: string): T => metadata.get(`tokenizer.${name}`) as T;
	const tokens = key<string[]>("ggml.tokens");
	const types = key<number[]>("ggml.token_type");
	const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
	const control = tokens.flatMap((content, id) => (types[id] === 3 ? [{ id, content }] : []));
	const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
	const document = {
		version: "1.0",
		truncation: null,
		padding: null,
		added_tokens: control.map((token) => ({ ...token, ...flags })),
		normalizer: null,
		pre_tokenizer: {
			type: "Sequence",
			pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel],
		},
		post_processor: null,
		decoder: { ...byteLevel, add_prefix_space: true },
		model: {
			type: "BPE",
			dropout: null,
			unk_token: null,
			continuing_subword_prefix: null,
			end_of_word_suffix: null,
			fuse_unk: false,
			byte_fallback: false,
			ignore_merges: false,
			vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
			merges: key<string[]>("ggml.merges"),
		},
	};
	const config = {
		bos_token: tokens[Number(key("ggml.bos_token_id"))],
		eos_token: tokens[Number(key("ggml.eos_token_id"))],
		chat_template: key<string>("chat_template"),
	};
	await writeFile(join(folder, "tokenizer.json"), JSON.stringify(document));
	await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
}
