// SPDX-License-Identifier: Apache-2.0
import type { Tokenizer } from "@dyn/text";
import { expect, it } from "vitest";
import { RandomPrompts } from "./random-prompts.js";

const texts = ["<s>", " apple", " pear", "Plum", " Fig", " melon", "\n"];
const tokenizer = (tokensOfWord: number) =>
	({
		vocabSize: texts.length,
		decode: ([id]: number[]) => texts[id!]!,
		encode: async (text: string) => new Uint32Array((text.split(" ").length - 1) * tokensOfWord),
	}) as unknown as Tokenizer;

it("makes other prompts of whole words every time", async () => {
	const prompts = await RandomPrompts.create(tokenizer(1), 64);
	const made = Array.from({ length: 20 }, () => prompts.next());
	expect(new Set(made).size).toBe(20);
	for (const prompt of made) expect(prompt).toMatch(/^( (apple|pear|melon)){64}$/);
});

it("refuses a tokenizer that makes more tokens of the words", async () => {
	await expect(RandomPrompts.create(tokenizer(2), 4)).rejects.toThrow("a prompt of 4 words has 8 tokens");
});
