// SPDX-License-Identifier: Apache-2.0

export interface EncodeOptions {
	/** Adds what the tokenizer puts around every text (usually BOS, if the model wants one). Default true. */
	readonly addSpecialTokens?: boolean;
	/**
	 * Turns the text of a control token (`<|im_end|>`) into that token. Default false: it is ordinary text, so a
	 * user cannot end their own turn. Tokens that the model marks as not special are recognised either way.
	 */
	readonly parseSpecial?: boolean;
	/** With `parseSpecial`: UTF-16 offsets, ascending, at which no control token may start. */
	readonly literalOffsets?: readonly number[];
}

export interface DecodeOptions {
	/** Leaves control tokens out of the text. Default true. */
	readonly skipSpecialTokens?: boolean;
	/** The tokens continue earlier text, so a leading space is part of them. Default false. */
	readonly continuation?: boolean;
}

/** What a decoder does with the space that SentencePiece models put before the first word. */
export type LeadingSpace = "keep" | "strip-one" | "strip-first-token";

export interface TokenizerInfo {
	/** The folder or file it was loaded from. */
	readonly path: string;
	readonly format: "tokenizer.json" | "gguf";
	/** `BPE`, `Unigram` or `WordLevel`. */
	readonly model: string;
	readonly leadingSpace: LeadingSpace;
	/** The texts of all control tokens, in order of their ids. */
	readonly specialTokens: readonly string[];
}

/** What the token ids of one model stand for: token ids to text. */
export interface TokenTexts {
	readonly info: TokenizerInfo;
	/** One more than the largest token id. */
	readonly vocabSize: number;
	readonly bosTokenId: number | null;
	/** Every token that ends a generation; empty when the model names none. */
	readonly eosTokenIds: readonly number[];
	/** The text of all `ids`; bytes that are not UTF-8 become U+FFFD, unknown ids stand for nothing. */
	decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
	/** The bytes a token stands for; a view, do not write to it. Empty for an unknown id. */
	tokenBytes(id: number): Uint8Array;
	isSpecial(id: number): boolean;
	/** The id of a token given as the vocabulary spells it (`Ġthe`, `▁the`, `<|im_end|>`). */
	idOf(token: string): number | undefined;
}

/** Text to token ids and back, for one model. Safe to share between requests. */
export interface Tokenizer extends TokenTexts {
	/**
	 * Tokenizes on a libuv thread. Lone surrogates count as U+FFFD.
	 * @throws DynError INVALID_ARGUMENT when the text is longer than `MAX_TEXT_LENGTH`.
	 */
	encode(text: string, options?: EncodeOptions): Promise<Uint32Array>;
}

/**
 * UTF-16 code units that one `encode` accepts, about 1 M tokens. The regular-expression engine in the native
 * tokenizer ends the process after 10 M steps back within one match, which a longer run of spaces could reach.
 */
export const MAX_TEXT_LENGTH = 4_000_000;
