// SPDX-License-Identifier: Apache-2.0
import type { GgufMetadata } from "./gguf-metadata.js";
import { BYTE_LEVEL, GGUF_PRE_TOKENIZERS } from "./gguf-pre-tokenizers.js";
import { sentencePieceMerges } from "./sentencepiece-merges.js";

/** `tokenizer.ggml.token_type` (llama.cpp `enum llama_token_type`). */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

/** Ids that a `tokenizer.json` document has no place for. */
export interface GgufTokenIds {
	readonly bosTokenId: number | null;
	readonly eosTokenIds: readonly number[];
}

/** A GGUF vocabulary as a `tokenizer.json` document. */
export interface GgufTokenizer extends GgufTokenIds {
	readonly document: Readonly<Record<string, unknown>>;
}

/**
 * What begins and ends a text, in a vocabulary of `size` tokens.
 * @throws DynError MODEL_FORMAT for an id outside of it
 */
export function ggufTokenIds(metadata: GgufMetadata, size: number): GgufTokenIds {
	const id = (name: string): number | undefined => metadata.tokenId(`tokenizer.ggml.${name}_token_id`, size);
	const ends = [id("eos"), id("eot"), id("eom")].filter((end) => end !== undefined);
	return { bosTokenId: id("bos") ?? null, eosTokenIds: [...new Set(ends)] };
}

/**
 * The merges of a GGUF vocabulary are taken as they are: who reads the document checks them, or should.
 * @throws DynError MODEL_FORMAT for a tokenizer model other than `gpt2` and `llama`, an unknown pre-tokenizer, or
 * arrays that do not fit together.
 */
export function ggufTokenizer(metadata: GgufMetadata): GgufTokenizer {
	const model = metadata.string("tokenizer.ggml.model");
	if (model !== "gpt2" && model !== "llama")
		metadata.fail(
			`tokenizer.ggml.model ${JSON.stringify(model ?? "(none)")} is not supported; supported: gpt2, llama`,
		);
	const tokens = metadata.strings("tokenizer.ggml.tokens");
	const types = metadata.numbers("tokenizer.ggml.token_type", tokens.length);
	const vocab = new Map<string, number>();
	for (const [id, token] of tokens.entries()) {
		if (vocab.has(token)) metadata.fail(`tokenizer.ggml.tokens ${vocab.get(token)} and ${id} are the same`);
		vocab.set(token, id);
	}
	const id = (name: string): number | undefined =>
		metadata.tokenId(`tokenizer.ggml.${name}_token_id`, tokens.length);
	const ids = ggufTokenIds(metadata, tokens.length);
	const pieces = { tokens, types, vocab };
	const { addBos, ...parts } =
		model === "gpt2" ? byteLevel(metadata, pieces) : sentencePiece(metadata, pieces, id("unknown"));
	const before = metadata.boolean("tokenizer.ggml.add_bos_token", addBos) ? ids.bosTokenId : null;
	const after = metadata.boolean("tokenizer.ggml.add_eos_token", false) ? (id("eos") ?? null) : null;
	return {
		...ids,
		document: {
			version: "1.0",
			added_tokens: tokens.flatMap((content, index) => addedToken(content, index, types[index]!)),
			post_processor: surround(tokens, before, after),
			...parts,
		},
	};
}

interface Pieces {
	readonly tokens: readonly string[];
	readonly types: readonly number[];
	readonly vocab: ReadonlyMap<string, number>;
}

type DocumentParts = { readonly addBos: boolean; readonly model: object; readonly decoder: object };

function byteLevel(metadata: GgufMetadata, { vocab }: Pieces): DocumentParts & Record<string, unknown> {
	const name = metadata.string("tokenizer.ggml.pre");
	const pre = GGUF_PRE_TOKENIZERS.get(name ?? "");
	if (!pre) {
		const known = [...GGUF_PRE_TOKENIZERS.keys()].join(", ");
		metadata.fail(
			`tokenizer.ggml.pre ${JSON.stringify(name ?? "(none)")} is not supported (supported: ${known}); use the model's Hugging Face folder with tokenizer.json instead`,
		);
	}
	const merges = metadata.strings("tokenizer.ggml.merges").map((merge, index) => {
		// The left token may itself begin with the separator.
		const cut = merge.indexOf(" ", 1);
		if (cut < 0) metadata.fail(`tokenizer.ggml.merges[${index}] is not two tokens`);
		return [merge.slice(0, cut), merge.slice(cut + 1)];
	});
	return {
		addBos: pre.addBos,
		normalizer: pre.normalizer,
		pre_tokenizer: pre.preTokenizer,
		decoder: BYTE_LEVEL,
		model: { type: "BPE", ignore_merges: pre.ignoreMerges, vocab: Object.fromEntries(vocab), merges },
	};
}

/** SentencePiece BPE: every run of text begins with `▁`, unknown characters fall back to `<0xNN>` bytes. */
function sentencePiece(
	metadata: GgufMetadata,
	{ tokens, types, vocab }: Pieces,
	unknown: number | undefined,
): DocumentParts & Record<string, unknown> {
	const scores = metadata.numbers("tokenizer.ggml.scores", tokens.length);
	const prefix = metadata.boolean("tokenizer.ggml.add_space_prefix", true);
	const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
	const normalizers = prefix ? [{ type: "Prepend", prepend: "▁" }, spaces] : [spaces];
	const decoders = [
		{ type: "Replace", pattern: { String: "▁" }, content: " " },
		{ type: "ByteFallback" },
		{ type: "Fuse" },
		{ type: "Strip", content: " ", start: prefix ? 1 : 0, stop: 0 },
	];
	return {
		addBos: true,
		normalizer: { type: "Sequence", normalizers },
		pre_tokenizer: null,
		decoder: { type: "Sequence", decoders },
		model: {
			type: "BPE",
			unk_token: unknown === undefined ? null : tokens[unknown],
			fuse_unk: true,
			byte_fallback: true,
			vocab: Object.fromEntries(vocab),
			merges: sentencePieceMerges(tokens, types, scores),
		},
	};
}

function addedToken(content: string, id: number, type: number): object[] {
	const special = type === CONTROL || type === UNKNOWN;
	if (!special && type !== USER_DEFINED) return [];
	return [{ id, content, special, normalized: false, lstrip: false, rstrip: false, single_word: false }];
}

function surround(tokens: readonly string[], before: number | null, after: number | null): object | null {
	const ids = [before, after].filter((id) => id !== null);
	if (ids.length === 0) return null;
	const piece = (id: number | null): object[] =>
		id === null ? [] : [{ SpecialToken: { id: String(id), type_id: 0 } }];
	const text = (id: string): object => ({ Sequence: { id, type_id: 0 } });
	return {
		type: "TemplateProcessing",
		single: [...piece(before), text("A"), ...piece(after)],
		pair: [...piece(before), text("A"), text("B"), ...piece(after)],
		special_tokens: Object.fromEntries(
			ids.map((id) => [id, { id: String(id), ids: [id], tokens: [tokens[id]] }]),
		),
	};
}
