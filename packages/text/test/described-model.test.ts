// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describeModelFiles } from "@dyn/models";
import { createModelStore, DEFAULT_MODEL } from "@dyn/models/store";
import { Tokenizer as NativeTokenizer } from "tokenizers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ChatMessage, encodeChat, loadChatTemplate, loadTokenizer } from "../src/index.js";

interface Case {
	readonly text: string;
	readonly ids: readonly number[];
	readonly messages?: readonly ChatMessage[];
}

describe("the files written from the default model's GGUF file", () => {
	let cache: string;
	let gguf: string;
	/** The folder that a frontend elsewhere would load. */
	let folder: string;
	let cases: Case[];
	beforeAll(async () => {
		cache = await mkdtemp(join(tmpdir(), "dyn-described-"));
		gguf = (await createModelStore().resolve(DEFAULT_MODEL, { pull: true })).path;
		folder = dirname((await describeModelFiles(gguf, cache)).tokenizer.path);
		const read = async (name: string): Promise<Case[]> =>
			JSON.parse(await readFile(new URL(`fixtures/${name}.json`, import.meta.url), "utf8"));
		cases = [...(await read("tokenizer-cases")), ...(await read("prompts"))];
		expect(cases).toHaveLength(246);
	});
	afterAll(() => rm(cache, { recursive: true }));

	it("encode as the file itself", async () => {
		const [own, written] = await Promise.all([loadTokenizer(gguf), loadTokenizer(folder)]);
		expect(written.info.format).toBe("tokenizer.json");
		expect(written.vocabSize).toBe(own.vocabSize);
		expect([written.bosTokenId, written.eosTokenIds]).toEqual([own.bosTokenId, own.eosTokenIds]);
		for (const { text, ids } of cases) {
			const found = [...(await written.encode(text, { parseSpecial: true }))];
			expect(found, JSON.stringify(text)).toEqual(ids);
			expect([...(await own.encode(text, { parseSpecial: true }))]).toEqual(found);
			expect(written.decode(ids)).toBe(own.decode(ids));
		}
	});

	it("are read by the native tokenizer as they stand", async () => {
		const native = NativeTokenizer.fromFile(join(folder, "tokenizer.json"));
		for (const { text, ids } of cases)
			expect((await native.encode(text)).getIds(), JSON.stringify(text)).toEqual(ids);
	});

	it("render chats as the file itself", async () => {
		const tokenizer = await loadTokenizer(folder);
		const [own, written] = await Promise.all([loadChatTemplate(gguf), loadChatTemplate(folder)]);
		const chats = cases.filter((each) => each.messages);
		expect(chats).toHaveLength(9);
		for (const { messages, text, ids } of chats) {
			const encoded = await encodeChat(tokenizer, written, { messages: messages! });
			expect([encoded.text, [...encoded.tokenIds]]).toEqual([text, ids]);
			expect(own.render({ messages: messages! })).toBe(text);
		}
	});

	it("say what the model is", async () => {
		const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
		// As in the config.json that the model was published with.
		expect(config).toMatchObject({
			architectures: ["LlamaForCausalLM"],
			model_type: "llama",
			hidden_size: 576,
			intermediate_size: 1536,
			num_hidden_layers: 30,
			num_attention_heads: 9,
			num_key_value_heads: 3,
			vocab_size: 49_152,
			max_position_embeddings: 8192,
			rope_theta: 100_000,
			rms_norm_eps: 0.00001,
			tie_word_embeddings: true,
			bos_token_id: 1,
			eos_token_id: 2,
		});
	});
});
