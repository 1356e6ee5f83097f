// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { blake3 } from "hash-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GgufValue } from "../checkpoint/checkpoint.js";
import { float32Tensor, writeGguf } from "../testing/index.js";
import { describeModelFiles } from "./describe-model-files.js";

type Keys = Record<string, GgufValue>;

let work: string;
let cache: string;
beforeAll(async () => {
	work = await mkdtemp(join(tmpdir(), "dyn-files-"));
	cache = join(work, "cache");
});
afterAll(() => rm(work, { recursive: true }));

/** A byte-level vocabulary of five tokens and the sizes of a Llama. */
const KEYS: Keys = {
	"general.architecture": "llama",
	"llama.embedding_length": 64,
	"llama.feed_forward_length": 128,
	"llama.block_count": 2,
	"llama.attention.head_count": 4,
	"llama.attention.head_count_kv": 2,
	"llama.context_length": 256,
	"llama.attention.layer_norm_rms_epsilon": 1e-5,
	"llama.rope.freq_base": 100_000,
	"tokenizer.ggml.model": "gpt2",
	"tokenizer.ggml.pre": "llama-bpe",
	"tokenizer.ggml.tokens": ["<s>", "</s>", "a", "b", "ab"],
	"tokenizer.ggml.token_type": [3, 3, 1, 1, 1],
	"tokenizer.ggml.merges": ["a b"],
	"tokenizer.ggml.bos_token_id": 0,
	"tokenizer.ggml.eos_token_id": 1,
	"tokenizer.chat_template": "{{ bos_token }}{{ messages[0].content }}",
};

async function gguf(name: string, change: Keys = {}): Promise<string> {
	const path = join(work, name);
	await writeGguf(path, { ...KEYS, ...change }, [
		float32Tensor("token_embd.weight", [5, 64], Array(320).fill(0)),
	]);
	return path;
}

const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));

describe("a GGUF file", () => {
	it("becomes the files of a Hugging Face folder", async () => {
		const files = await describeModelFiles(await gguf("m.gguf"), cache);
		expect(files.chatTemplate).toBeNull();
		expect(await json(files.config.path)).toEqual({
			architectures: ["LlamaForCausalLM"],
			model_type: "llama",
			hidden_size: 64,
			intermediate_size: 128,
			num_hidden_layers: 2,
			num_attention_heads: 4,
			num_key_value_heads: 2,
			head_dim: 16,
			vocab_size: 5,
			max_position_embeddings: 256,
			rope_theta: 100_000,
			rms_norm_eps: 0.00001,
			tie_word_embeddings: true,
			bos_token_id: 0,
			eos_token_id: 1,
		});
		expect(await json(files.generationConfig!.path)).toEqual({ bos_token_id: 0, eos_token_id: 1 });
		expect(await json(files.tokenizerConfig!.path)).toEqual({
			tokenizer_class: "PreTrainedTokenizerFast",
			bos_token: "<s>",
			eos_token: "</s>",
			chat_template: KEYS["tokenizer.chat_template"],
		});
		expect(await json(files.tokenizer.path)).toMatchObject({
			version: "1.0",
			added_tokens: [
				{ id: 0, content: "<s>", special: true },
				{ id: 1, content: "</s>", special: true },
			],
			post_processor: {
				single: [{ SpecialToken: { id: "0" } }, { Sequence: { id: "A" } }],
				pair: [{ SpecialToken: { id: "0" } }, { Sequence: { id: "A" } }, { Sequence: { id: "B" } }],
				special_tokens: { 0: { ids: [0], tokens: ["<s>"] } },
			},
			model: { type: "BPE", ignore_merges: true, vocab: { ab: 4 }, merges: [["a", "b"]] },
		});
		const bytes = await readFile(files.tokenizer.path);
		expect(files.tokenizer).toMatchObject({
			checksum: `blake3:${await blake3(bytes)}`,
			sizeBytes: bytes.length,
		});
		expect((await readdir(dirname(files.tokenizer.path))).sort()).toEqual(
			["config", "generation_config", "tokenizer", "tokenizer_config"].map((name) => `${name}.json`),
		);
	});

	it("is written once, repaired when damaged, and gets another folder when it changes", async () => {
		const path = await gguf("again.gguf");
		const files = await describeModelFiles(path, cache);
		await writeFile(files.config.path, "half of i");
		const { ino } = await stat(files.tokenizer.path);
		expect(await describeModelFiles(path, cache)).toEqual(files);
		expect((await stat(files.tokenizer.path)).ino).toBe(ino);
		const [one, two] = await Promise.all([describeModelFiles(path, cache), describeModelFiles(path, cache)]);
		expect([one, two]).toEqual([files, files]);
		await gguf("again.gguf", { "llama.context_length": 512 });
		const changed = await describeModelFiles(path, cache);
		expect(changed.config.path).not.toBe(files.config.path);
		expect(changed.config.checksum).not.toBe(files.config.checksum);
		expect(changed.tokenizer.checksum).toBe(files.tokenizer.checksum);
	});

	it("names several ends and several templates", async () => {
		const change = { "tokenizer.ggml.eot_token_id": 4, "tokenizer.chat_template.tool_use": "tools" };
		const files = await describeModelFiles(await gguf("two.gguf", change), cache);
		expect(await json(files.generationConfig!.path)).toMatchObject({ eos_token_id: [1, 4] });
		expect(await json(files.tokenizerConfig!.path)).toMatchObject({
			chat_template: [
				{ name: "default", template: KEYS["tokenizer.chat_template"] },
				{ name: "tool_use", template: "tools" },
			],
		});
	});

	it("needs no tokenizer of its own when another one is named", async () => {
		const path = await gguf("foreign.gguf", { "tokenizer.ggml.pre": "tekken" });
		const tokenizerPath = join(work, "tokenizer");
		await mkdir(tokenizerPath);
		await writeFile(join(tokenizerPath, "tokenizer.json"), "{}");
		const chatTemplatePath = join(work, "mine.jinja");
		await writeFile(chatTemplatePath, "mine");
		const files = await describeModelFiles(path, cache, { tokenizerPath, chatTemplatePath });
		expect(files.tokenizer.path).toBe(join(tokenizerPath, "tokenizer.json"));
		expect(files.tokenizerConfig).toBeNull();
		expect(files.chatTemplate).toMatchObject({ path: chatTemplatePath, sizeBytes: 4 });
		expect(await json(files.config.path)).toMatchObject({ hidden_size: 64 });
	});

	it.each<[string, Keys, RegExp]>([
		["an unknown pre-tokenizer", { "tokenizer.ggml.pre": "tekken" }, /pre "tekken" is not supported/],
		[
			"an unknown architecture",
			{ "general.architecture": "rwkv" },
			/architecture "rwkv" cannot be described/,
		],
		["a size of zero", { "llama.block_count": 0 }, /llama.block_count is 0, not a positive integer/],
		["a size that is text", { "llama.embedding_length": "64" }, /embedding_length must be a number/],
		["heads that do not divide", { "llama.attention.head_count": 5 }, /key_length is 12.8, not a positive/],
		["a base of zero", { "llama.rope.freq_base": 0 }, /freq_base is 0, not above 0/],
		["a merge of no two tokens", { "tokenizer.ggml.merges": ["ab"] }, /merges\[0\] is not two tokens/],
		["a merge into nothing", { "tokenizer.ggml.merges": ["b a"] }, /merges\[0\] is not two tokens/],
		["an end outside", { "tokenizer.ggml.eos_token_id": 5 }, /eos_token_id is 5, not one of 5 tokens/],
		["a template that is none", { "tokenizer.chat_template": 7 }, /chat_template must be a string/],
	])("is refused with %s", async (_, change, message) => {
		const path = await gguf("bad.gguf", change);
		await expect(describeModelFiles(path, cache)).rejects.toMatchObject({
			code: "MODEL_FORMAT",
			message: expect.stringMatching(message),
		});
	});

	it("is refused when a size is missing", async () => {
		const { "llama.block_count": _, ...keys } = KEYS;
		const path = join(work, "less.gguf");
		await writeGguf(path, keys, []);
		await expect(describeModelFiles(path, cache)).rejects.toThrow("llama.block_count is missing");
	});

	it("says where it could not write", async () => {
		const file = join(work, "no-folder");
		await writeFile(file, "");
		await expect(describeModelFiles(await gguf("w.gguf"), file)).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining(file),
		});
	});
});

describe("a Hugging Face folder", () => {
	it("is described where it is", async () => {
		const folder = join(work, "hf");
		await mkdir(folder);
		const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];
		for (const name of names) await writeFile(join(folder, name), name);
		const files = await describeModelFiles(folder, join(work, "unused"));
		expect(files.generationConfig).toBeNull();
		const { config, tokenizer, tokenizerConfig, chatTemplate } = files;
		for (const [index, file] of [config, tokenizer, tokenizerConfig, chatTemplate].entries())
			expect(file).toEqual({
				path: join(folder, names[index]!),
				checksum: `blake3:${await blake3(names[index]!)}`,
				sizeBytes: names[index]!.length,
			});
		expect(await readdir(work)).not.toContain("unused");
	});

	it("is refused without tokenizer.json", async () => {
		const folder = join(work, "bare");
		await mkdir(folder);
		await writeFile(join(folder, "config.json"), "{}");
		const header = Buffer.from("{}");
		const length = Buffer.from(BigUint64Array.of(BigInt(header.length)).buffer);
		await writeFile(join(folder, "model.safetensors"), Buffer.concat([length, header]));
		await expect(describeModelFiles(folder, cache)).rejects.toThrow("has no tokenizer.json");
		await expect(describeModelFiles(join(work, "none"), cache)).rejects.toMatchObject({ code: "NOT_FOUND" });
	});
});
