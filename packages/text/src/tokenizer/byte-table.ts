// SPDX-License-Identifier: Apache-2.0
import type { TokenDecoder } from "./decoder.js";
import type { TokenizerDocument } from "./tokenizer-document.js";

const EMPTY = new Uint8Array(0);

/** The bytes of every token, in one buffer. */
export class ByteTable {
	/** One more than the largest id. */
	readonly size: number;
	readonly #bytes: Uint8Array;
	/** Token `id` is bytes `offsets[id]` to `offsets[id + 1]`. */
	readonly #offsets: Uint32Array;

	constructor(document: TokenizerDocument) {
		const pieces: Uint8Array[] = [];
		const toBytes =
			document.decoder.kind === "byte-level" ? byteLevelBytes : sentencePieceBytes(document.decoder);
		for (const [token, id] of document.model.vocab) pieces[id] = toBytes(token);
		// Added tokens are matched as plain text, so plain text is what they stand for.
		for (const { id, content } of document.addedTokens) pieces[id] = Buffer.from(content);
		this.size = pieces.length;
		this.#offsets = new Uint32Array(this.size + 1);
		for (let id = 0; id < this.size; id++) {
			this.#offsets[id + 1] = this.#offsets[id]! + (pieces[id]?.length ?? 0);
		}
		this.#bytes = new Uint8Array(this.#offsets[this.size]!);
		for (let id = 0; id < this.size; id++) this.#bytes.set(pieces[id] ?? EMPTY, this.#offsets[id]!);
	}

	/** A view; empty for an id outside the vocabulary. */
	get(id: number): Uint8Array {
		if (!(id >= 0 && id < this.size)) return EMPTY;
		return this.#bytes.subarray(this.#offsets[id]!, this.#offsets[id + 1]!);
	}
}

/**
 * GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, the other 68 bytes for U+0100 onwards in order.
 */
const BYTE_OF_CHAR: ReadonlyMap<string, number> = (() => {
	const map = new Map<string, number>();
	let next = 0x100;
	for (let byte = 0; byte < 256; byte++) {
		const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
		map.set(String.fromCharCode(printable ? byte : next++), byte);
	}
	return map;
})();

/** A token with a character outside the alphabet is taken as plain text, as the native decoder does. */
function byteLevelBytes(token: string): Uint8Array {
	const bytes: number[] = [];
	for (const char of token) {
		const byte = BYTE_OF_CHAR.get(char);
		if (byte === undefined) return Buffer.from(token);
		bytes.push(byte);
	}
	return Uint8Array.from(bytes);
}

function sentencePieceBytes(
	decoder: TokenDecoder & { kind: "sentencepiece" },
): (token: string) => Uint8Array {
	return (token) => {
		const byte = decoder.byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
		if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
		return Buffer.from(token.replaceAll(decoder.space, " "));
	};
}
