// SPDX-License-Identifier: Apache-2.0
import { GgufMetadata, type GgufValue, ggufTokenizer } from "@dyn/models";
import { describe, expect, it } from "vitest";
import { createNativeTokenizer } from "./native-tokenizer.js";
import type { Tokenizer } from "./tokenizer.js";
import { parseTokenizerDocument } from "./tokenizer-document.js";

type Keys = Record<string, GgufValue>;

function metadata(keys: Keys): GgufMetadata {
	return new GgufMetadata(
		"m.gguf",
		new Map(Object.entries(keys).map(([k, v]) => [`tokenizer.ggml.${k}`, v])),
	);
}

async function load(keys: Keys): Promise<Tokenizer> {
	const { document, bosTokenId, eosTokenIds } = ggufTokenizer(metadata(keys));
	const options = { path: "m.gguf", format: "gguf", bosTokenId, eosTokenIds } as const;
	return createNativeTokenizer(parseTokenizerDocument(document, "m.gguf"), options);
}

async function pieces(tokenizer: Tokenizer, text: string): Promise<string[]> {
	return [...(await tokenizer.encode(text))].map((id) => tokenizer.decode([id], { continuation: true }));
}

/** GPT-2's alphabet for ASCII, the whole words given, and one control token. */
function byteLevelKeys(pre: string, words: readonly string[] = [], merges: readonly string[] = []): Keys {
	const ascii = Array.from({ length: 0x5e }, (_, index) => String.fromCharCode(0x21 + index));
	const tokens = [...ascii, "Ġ", "Ċ", ...words, "<|end|>"];
	const token_type = tokens.map((token) => (token === "<|end|>" ? 3 : 1));
	return { model: "gpt2", pre, tokens, token_type, merges, eos_token_id: tokens.length - 1 };
}

describe("a byte-level GGUF vocabulary", () => {
	it("splits digits as the pre-tokenizer says", async () => {
		const words = ["12", "123", "1234"];
		const merges = ["1 2", "12 3", "123 4"];
		const split = async (pre: string): Promise<string[]> =>
			pieces(await load(byteLevelKeys(pre, words, merges)), "1234");
		expect(await split("gpt-2")).toEqual(["1234"]);
		expect(await split("llama-bpe")).toEqual(["123", "4"]);
		expect(await split("smollm")).toEqual(["1", "2", "3", "4"]);
		expect(await split("qwen2")).toEqual(["1", "2", "3", "4"]);
	});

	it("takes whole words without merges for llama-bpe only", async () => {
		expect(await pieces(await load(byteLevelKeys("llama-bpe", ["Ġab"])), "a ab")).toEqual(["a", " ab"]);
		expect(await pieces(await load(byteLevelKeys("qwen2", ["Ġab"])), "a ab")).toEqual(["a", " ", "a", "b"]);
	});

	it("adds BOS where the file or the pre-tokenizer asks for it", async () => {
		const first = async (keys: Keys): Promise<number | undefined> =>
			(await (await load({ bos_token_id: 3, ...keys })).encode("a"))[0];
		const a = "a".charCodeAt(0) - 0x21;
		expect(await first(byteLevelKeys("smollm"))).toBe(a);
		expect(await first({ ...byteLevelKeys("smollm"), add_bos_token: true })).toBe(3);
		expect(await first(byteLevelKeys("llama-bpe"))).toBe(3);
		expect(await first({ ...byteLevelKeys("llama-bpe"), add_bos_token: false })).toBe(a);
	});

	it("keeps control tokens apart and collects the ends", async () => {
		const tokenizer = await load({ ...byteLevelKeys("smollm"), eot_token_id: 5 });
		const end = tokenizer.idOf("<|end|>")!;
		expect(tokenizer.eosTokenIds).toEqual([end, 5]);
		expect(await tokenizer.encode("<|end|>", { parseSpecial: true })).toEqual(Uint32Array.of(end));
		expect(await tokenizer.encode("<|end|>")).not.toContain(end);
	});
});

describe("a SentencePiece GGUF vocabulary", () => {
	const bytes = Array.from(
		{ length: 256 },
		(_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
	);
	const scored: [string, number][] = [
		["▁", -9],
		["a", -9],
		["b", -9],
		["c", -9],
		["ab", -2],
		["bc", -1],
		["▁a", -3],
	];
	const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...scored.map(([token]) => token)];
	const keys: Keys = {
		model: "llama",
		tokens,
		token_type: [2, 3, 3, ...bytes.map(() => 6), ...scored.map(() => 1)],
		scores: [0, 0, 0, ...bytes.map(() => 0), ...scored.map(([, score]) => score)],
		bos_token_id: 1,
		eos_token_id: 2,
		unknown_token_id: 0,
	};

	it("merges the best score first, puts a space before and BOS first, and falls back to bytes", async () => {
		const tokenizer = await load(keys);
		const spelled = [...(await tokenizer.encode("abc ab é"))].map((id) => tokens[id]);
		expect(spelled).toEqual(["<s>", "▁a", "bc", "▁", "ab", "▁", "<0xC3>", "<0xA9>"]);
		expect(tokenizer.decode(await tokenizer.encode("abc ab é"))).toBe("abc ab é");
	});

	it("puts no space before where the file says so", async () => {
		const tokenizer = await load({ ...keys, add_space_prefix: false, add_bos_token: false });
		expect([...(await tokenizer.encode("ab"))].map((id) => tokens[id])).toEqual(["ab"]);
		expect(tokenizer.decode(await tokenizer.encode(" ab"))).toBe(" ab");
	});

	it("does not let user text spell a control token", async () => {
		const tokenizer = await load({ ...keys, add_bos_token: false });
		expect(await tokenizer.encode("</s>")).not.toContain(2);
		expect(await tokenizer.encode("</s>", { parseSpecial: true })).toEqual(Uint32Array.of(2));
	});
});

it.each<[string, Keys, RegExp]>([
	["an unknown pre-tokenizer", { pre: "tekken" }, /tokenizer.ggml.pre "tekken" is not supported/],
	["no pre-tokenizer", { pre: "" }, /tokenizer.ggml.pre "" is not supported/],
	["an unknown model", { model: "rwkv" }, /tokenizer.ggml.model "rwkv" is not supported/],
	["types of another length", { token_type: [1] }, /token_type has 1 entries instead of/],
	["tokens that are no list", { tokens: 7 }, /tokens must be an array/],
	["a token that is no string", { tokens: [7], token_type: [1] }, /tokens\[0\] must be a string/],
	["a token twice", { tokens: ["a", "a"], token_type: [1, 1] }, /tokens 0 and 1 are the same/],
	["an id outside", { eos_token_id: 100_000 }, /eos_token_id is 100000, not one of/],
	["a flag that is none", { add_bos_token: 1 }, /add_bos_token must be a boolean/],
])("refuses %s", (_, change, message) => {
	expect(() => ggufTokenizer(metadata({ ...byteLevelKeys("smollm"), ...change }))).toThrow(message);
});
