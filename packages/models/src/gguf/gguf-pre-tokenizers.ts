// SPDX-License-Identifier: Apache-2.0

/** What a value of `tokenizer.ggml.pre` means, as parts of a `tokenizer.json`. */
export interface GgufPreTokenizer {
	readonly normalizer: object | null;
	readonly preTokenizer: object;
	/** Whole words of the vocabulary are taken as they are, without merging. */
	readonly ignoreMerges: boolean;
	/** Whether the model wants BOS when `tokenizer.ggml.add_bos_token` does not say. */
	readonly addBos: boolean;
}

/** GPT-2's own splitting, which the `ByteLevel` step has built in. */
export const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

function sequence(...pretokenizers: object[]): object {
	return { type: "Sequence", pretokenizers };
}

/** Splits by a regular expression, then spells the pieces in bytes. */
function split(regex: string): object {
	return sequence(
		{ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
		{ ...BYTE_LEVEL, use_regex: false },
	);
}

/** The splitting of Llama 3 and its heirs; they differ in how many digits make a piece. */
function llamaSplit(digits: string): object {
	const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
	return split(
		`${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
	);
}

const gpt2: GgufPreTokenizer = {
	normalizer: null,
	preTokenizer: BYTE_LEVEL,
	ignoreMerges: false,
	addBos: false,
};
const singleDigits: GgufPreTokenizer = {
	...gpt2,
	preTokenizer: sequence({ type: "Digits", individual_digits: true }, BYTE_LEVEL),
};
const llama3: GgufPreTokenizer = {
	normalizer: null,
	preTokenizer: llamaSplit("\\p{N}{1,3}"),
	ignoreMerges: true,
	addBos: true,
};
const qwen2: GgufPreTokenizer = {
	normalizer: { type: "NFC" },
	preTokenizer: llamaSplit("\\p{N}"),
	ignoreMerges: false,
	addBos: false,
};

/** By `tokenizer.ggml.pre`. Sources: the models' own `tokenizer.json`; llama.cpp `src/llama-vocab.cpp` for the names. */
export const GGUF_PRE_TOKENIZERS: ReadonlyMap<string, GgufPreTokenizer> = new Map([
	["gpt-2", gpt2],
	["smollm", singleDigits],
	["starcoder", singleDigits],
	["refact", singleDigits],
	["llama-bpe", llama3],
	["llama3", llama3],
	["llama-v3", llama3],
	["qwen2", qwen2],
]);
