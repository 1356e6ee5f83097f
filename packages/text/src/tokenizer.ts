// SPDX-License-Identifier: Apache-2.0

export interface EncodeOptions {
	/** Whether the text of a special token becomes that token. Default true; false for text that must not control the model. */
	readonly parseSpecial?: boolean;
	/** Whether the model's own prefix and suffix (for example a begin-of-sequence id) are added. Default true. */
	readonly addSpecialTokens?: boolean;
}

/** A piece of a prompt. Untrusted pieces never produce special tokens. */
export interface PromptSegment {
	readonly text: string;
	readonly trusted: boolean;
}

/** Text to token ids and back. */
export interface Tokenizer {
	/** Number of ids, added tokens included. */
	readonly vocabSize: number;
	readonly eosTokenIds: readonly number[];
	/** Text of the begin- and end-of-sequence tokens, as chat templates want it; "" when there is none. */
	readonly bosToken: string;
	readonly eosToken: string;
	/** Long texts are encoded on libuv's threads, off the event loop. */
	encode(text: string, options?: EncodeOptions): Promise<Uint32Array>;
	/** Ids of the concatenated segments; nothing is added at either end. */
	encodeSegments(segments: readonly PromptSegment[]): Promise<Uint32Array>;
	/** The bytes that a token stands for; none for an unknown id. A view: do not change it. */
	tokenBytes(id: number): Uint8Array;
	isSpecial(id: number): boolean;
	/** Texts of all special tokens. */
	readonly specialTexts: readonly string[];
	/** True when the first token of a text loses a leading space (SentencePiece style). */
	readonly stripsLeadingSpace: boolean;
}
