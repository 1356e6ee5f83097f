// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Checkpoint, GgufValue } from "@dyn/models";
import type { TextFiles } from "./tokenizer-document.js";

const byteLevel = (useRegex: boolean) => ({
	type: "ByteLevel",
	add_prefix_space: false,
	trim_offsets: true,
	use_regex: useRegex,
});
const splitBy = (regex: string) => ({
	type: "Sequence",
	pretokenizers: [
		{ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
		byteLevel(false),
	],
});

/**
 * Pre-tokenizers by their name in `tokenizer.ggml.pre`, as the models' own tokenizer.json files have them
 * (SmolLM2, GPT-2, Llama 3, Qwen2).
 */
const PRE_TOKENIZERS: Readonly<
	Record<
		string,
		{ readonly preTokenizer: unknown; readonly normalizer?: unknown; readonly ignoreMerges?: boolean }
	>
> = {
	smollm: {
		preTokenizer: {
			type: "Sequence",
			pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel(true)],
		},
	},
	"gpt-2": { preTokenizer: byteLevel(true) },
	"llama-bpe": {
		preTokenizer: splitBy(
			"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
		),
		ignoreMerges: true,
	},
	qwen2: {
		preTokenizer: splitBy(
			"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
		),
		normalizer: { type: "NFC" },
	},
};

/** GGML token types that are special tokens or added by hand (llama.cpp: LLAMA_TOKEN_TYPE_CONTROL, USER_DEFINED). */
const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * The tokenizer.json that a GGUF file's `tokenizer.ggml.*` metadata stands for.
 * @throws DynError MODEL_FORMAT naming the tokenizer model or pre-tokenizer that is not supported.
 */
export function ggufTokenizerDocument({ metadata, path }: Checkpoint): TextFiles {
	const model = metadata.get("tokenizer.ggml.model");
	if (model !== "gpt2") {
		throw new DynError(
			"MODEL_FORMAT",
			`${path}: the GGUF tokenizer ${JSON.stringify(model ?? null)} is not supported (gpt2 is); pass the model's tokenizer.json folder as tokenizer`,
		);
	}
	const pre = metadata.get("tokenizer.ggml.pre") ?? "gpt-2";
	const rules =
		typeof pre === "string" && Object.hasOwn(PRE_TOKENIZERS, pre) ? PRE_TOKENIZERS[pre] : undefined;
	if (!rules) {
		throw new DynError(
			"MODEL_FORMAT",
			`${path}: the pre-tokenizer ${JSON.stringify(pre)} is not supported (${Object.keys(PRE_TOKENIZERS).join(", ")} are); pass the model's tokenizer.json folder as tokenizer`,
		);
	}
	const tokens = strings(path, metadata, "tokenizer.ggml.tokens");
	const merges = strings(path, metadata, "tokenizer.ggml.merges");
	const types = (metadata.get("tokenizer.ggml.token_type") ?? []) as readonly GgufValue[];
	const id = (name: string) => {
		const value = metadata.get(`tokenizer.ggml.${name}_token_id`);
		return typeof value === "number" && value >= 0 && value < tokens.length ? value : null;
	};
	const [bos, eos, eot] = [id("bos"), id("eos"), id("eot")];
	const addedTokens = tokens.flatMap((content, index) =>
		types[index] === CONTROL || types[index] === USER_DEFINED
			? [
					{
						id: index,
						content,
						single_word: false,
						lstrip: false,
						rstrip: false,
						normalized: false,
						special: types[index] === CONTROL,
					},
				]
			: [],
	);
	const addsBos = metadata.get("tokenizer.ggml.add_bos_token") === true && bos !== null;
	const template = metadata.get("tokenizer.chat_template");
	return {
		document: {
			version: "1.0",
			truncation: null,
			padding: null,
			added_tokens: addedTokens,
			normalizer: rules.normalizer ?? null,
			pre_tokenizer: rules.preTokenizer,
			post_processor: addsBos ? beginWith(tokens[bos]!, bos) : null,
			decoder: { ...byteLevel(true), add_prefix_space: true },
			model: {
				type: "BPE",
				dropout: null,
				unk_token: null,
				continuing_subword_prefix: null,
				end_of_word_suffix: null,
				fuse_unk: false,
				byte_fallback: false,
				ignore_merges: rules.ignoreMerges ?? false,
				vocab: Object.fromEntries(tokens.map((token, index) => [token, index])),
				merges,
			},
		},
		bosToken: bos === null ? "" : tokens[bos]!,
		eosToken: eos === null ? "" : tokens[eos]!,
		eosTokenIds: [...new Set([eos, eot].filter((value) => value !== null))],
		chatTemplate: typeof template === "string" ? template : null,
	};
}

function beginWith(token: string, id: number) {
	return {
		type: "TemplateProcessing",
		single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
		pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
		special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
	};
}

function strings(path: string, metadata: Checkpoint["metadata"], key: string): readonly string[] {
	const value = metadata.get(key);
	if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return value;
	throw new DynError("MODEL_FORMAT", `${path}: ${key} is missing or not a list of strings`);
}
