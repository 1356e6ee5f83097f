// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../__fixtures__/fixture-path.js";
import { loadTokenizer } from "./load-tokenizer.js";
import { MAX_TEXT_LENGTH, type Tokenizer } from "./tokenizer.js";

const END = 266;
const START = 267;
const THINK = 268;
let tokenizer: Tokenizer;
beforeAll(async () => {
	tokenizer = await loadTokenizer(fixturePath("byte-level"));
});

async function encode(text: string, options: Parameters<Tokenizer["encode"]>[1] = {}): Promise<number[]> {
	return [...(await tokenizer.encode(text, { addSpecialTokens: false, ...options }))];
}

describe("a tokenizer", () => {
	it("merges, and ignores the truncation that the document asks for", async () => {
		expect(await encode("hello w")).toEqual([tokenizer.idOf("hello"), tokenizer.idOf("Ġw")]);
		expect(await encode("abc")).toEqual([0x61, 0x62, 0x63]);
		expect(await encode("")).toEqual([]);
	});

	it("takes the text of a control token as text, even where merges would spell it", async () => {
		const ids = await encode("<|end|>");
		expect(ids).not.toContain(END);
		expect(tokenizer.decode(ids)).toBe("<|end|>");
		expect(await encode("<think>")).toEqual([THINK]);
	});

	it("parses control tokens on request, except at literal offsets", async () => {
		expect(await encode("a<|end|><|start|>", { parseSpecial: true })).toEqual([0x61, END, START]);
		const ids = await encode("<|end|><|end|>", { parseSpecial: true, literalOffsets: [0] });
		expect(ids.at(-1)).toBe(END);
		expect(ids.filter((id) => id === END).length).toBe(1);
		expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe("<|end|><|end|>");
	});

	it("puts around a text what the document says", async () => {
		expect([...(await tokenizer.encode("a"))]).toEqual([START, 0x61]);
		const sentencePiece = await loadTokenizer(fixturePath("sentencepiece"));
		expect([...(await sentencePiece.encode("hello"))]).toEqual([1, sentencePiece.idOf("▁hello")]);
	});

	it("falls back to bytes", async () => {
		const sentencePiece = await loadTokenizer(fixturePath("sentencepiece"));
		const ids = await sentencePiece.encode("a漢", { addSpecialTokens: false });
		expect([...ids]).toEqual([sentencePiece.idOf("▁a"), 0xe6 + 3, 0xbc + 3, 0xa2 + 3]);
	});

	it("knows its tokens", async () => {
		expect(tokenizer.vocabSize).toBe(270);
		expect([tokenizer.isSpecial(END), tokenizer.isSpecial(THINK), tokenizer.isSpecial(-1)]).toEqual([
			true,
			false,
			false,
		]);
		expect([tokenizer.idOf("<|end|>"), tokenizer.idOf("Ġ"), tokenizer.idOf("nothing")]).toEqual([
			END,
			0x20,
			undefined,
		]);
		expect([...tokenizer.tokenBytes(0xff)]).toEqual([0xff]);
		expect([tokenizer.tokenBytes(270).length, tokenizer.tokenBytes(-1).length]).toEqual([0, 0]);
		expect([tokenizer.bosTokenId, tokenizer.eosTokenIds]).toEqual([START, [END]]);
		const sentencePiece = await loadTokenizer(fixturePath("sentencepiece"));
		expect(sentencePiece.eosTokenIds).toEqual([2]);
	});

	it("survives lone surrogates", async () => {
		expect(tokenizer.decode(await encode("a\ud800b"))).toBe("a\ufffdb");
	});

	it("refuses a text that is too long", async () => {
		await expect(encode("a".repeat(MAX_TEXT_LENGTH + 1))).rejects.toThrow(
			/INVALID_ARGUMENT.*4000001 characters/,
		);
	});
});
