// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { parseTokenizerDocument } from "./tokenizer-document.js";

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const bpe = { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: [["a", "b"]] };
const valid = { model: bpe, decoder: byteLevel, pre_tokenizer: byteLevel };
const split = (regex: string): object => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated" });
const template = (single: unknown, special_tokens: unknown = {}): object => ({
	post_processor: { type: "TemplateProcessing", single, special_tokens },
});
const replace = (pattern: object): object => ({ type: "Replace", pattern, content: "x" });
const text = { Sequence: { id: "A", type_id: 0 } };

function deep(levels: number): object {
	let component: object = byteLevel;
	for (let level = 0; level < levels; level++) component = { type: "Sequence", pretokenizers: [component] };
	return component;
}

/** What JSON.parse reads and JSON.stringify cannot write. */
const nested: unknown = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));

describe("parseTokenizerDocument", () => {
	it("accepts old spellings", () => {
		const document = parseTokenizerDocument(
			{ ...valid, model: { vocab: bpe.vocab, merges: ["a b"] }, added_tokens: null },
			"t.json",
		);
		expect(document.model.merges).toEqual([["a", "b"]]);
	});

	it.each<[string, object, RegExp]>([
		["no model", { model: undefined }, /model must be an object/],
		[
			"an unknown model",
			{ model: { type: "WordPiece" } },
			/model.type is "WordPiece"; supported: BPE, Unigram/,
		],
		[
			"a type that nests too deeply to be shown",
			{ model: { type: nested } },
			/model.type is no text; supported/,
		],
		[
			"a merge of unknown tokens",
			{ model: { ...bpe, merges: [["a", "x"]] } },
			/merges\[0\] needs the token "x"/,
		],
		[
			"a merge to an unknown token",
			{ model: { ...bpe, merges: [["b", "a"]] } },
			/merges\[0\] needs the token "ba"/,
		],
		["a merge of one", { model: { ...bpe, merges: ["ab"] } }, /merges\[0\] must be a pair/],
		["one id twice", { model: { ...bpe, vocab: { a: 0, b: 0 } } }, /two tokens of model.vocab have the id 0/],
		["a huge id", { model: { ...bpe, vocab: { a: 4294967295 } } }, /below 2\^24/],
		[
			"an absent unknown token",
			{ model: { ...bpe, unk_token: "?" } },
			/unk_token "\?" is not in the vocabulary/,
		],
		["a subword prefix", { model: { ...bpe, continuing_subword_prefix: "##" } }, /continuing_subword_prefix/],
		["a score that is none", { model: { type: "Unigram", vocab: [["a", null]], unk_id: 0 } }, /finite score/],
		[
			"an unknown id outside",
			{ model: { type: "Unigram", vocab: [["a", 0]], unk_id: 1 } },
			/unk_id is outside/,
		],
		["an empty Unigram", { model: { type: "Unigram", vocab: [], unk_id: 0 } }, /vocab is empty/],
		["an unknown normalizer", { normalizer: { type: "Precompiled" } }, /normalizer.type is "Precompiled"/],
		["an unknown pre-tokenizer", { pre_tokenizer: { type: "FixedLength", length: 0 } }, /pre_tokenizer.type/],
		["an explosive regex", { pre_tokenizer: split("(a+)+$") }, /repeats a group that repeats/],
		["an empty text to replace", { normalizer: replace({ String: "" }) }, /String is empty/],
		["nothing to replace", { normalizer: replace({ Regex: "x*" }) }, /match between two characters/],
		["a place to replace", { normalizer: replace({ Regex: "\\b" }) }, /match between two characters/],
		["deep nesting", { pre_tokenizer: deep(50_000) }, /nests too deeply/],
		["an empty sequence", { pre_tokenizer: { type: "Sequence", pretokenizers: [] } }, /is empty/],
		["no decoder", { decoder: null }, /decoder must be an object/],
		["an unknown decoder", { decoder: { type: "CTC" } }, /decoder.type is "CTC"/],
		[
			"a template with an unknown token",
			template([{ SpecialToken: { id: "x" } }, text]),
			/does not define x/,
		],
		["a template without the text", template([]), /leaves the text out/],
		["a template with the text twice", template([text, text]), /has the text twice/],
		["an added token without text", { added_tokens: [{ id: 3, content: "" }] }, /empty or repeated/],
		[
			"an added token with a gap",
			{ added_tokens: [{ id: 7, content: "<x>" }] },
			/has id 7, but the vocabulary gives 3/,
		],
		[
			"an added token with another id",
			{ added_tokens: [{ id: 3, content: "ab" }] },
			/has id 3, but the vocabulary gives 2/,
		],
	])("refuses %s", (_, change, message) => {
		expect(() => parseTokenizerDocument({ ...valid, ...change }, "t.json")).toThrow(message);
		expect(() => parseTokenizerDocument({ ...valid, ...change }, "t.json")).toThrow(
			/^\[MODEL_FORMAT\] t.json: /,
		);
	});

	it.each([null, 7, "x", [], {}])("refuses %j", (value) => {
		expect(() => parseTokenizerDocument(value, "t.json")).toThrow(/MODEL_FORMAT/);
	});

	it("reads what goes around a text", () => {
		const cls = { SpecialToken: { id: "[C]", type_id: 0 } };
		const tokens = { "[C]": { id: "[C]", ids: [1, 2], tokens: ["b", "ab"] } };
		const inner = template([cls, text], tokens) as { post_processor: object };
		const roberta = { type: "RobertaProcessing", sep: ["ab", 2], cls: ["a", 0] };
		const post_processor = { type: "Sequence", processors: [byteLevel, inner.post_processor, roberta] };
		const { surrounding } = parseTokenizerDocument({ ...valid, post_processor }, "t.json");
		expect(surrounding).toEqual({ before: [0, 1, 2], after: [2] });
	});
});
