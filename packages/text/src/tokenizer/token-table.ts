// SPDX-License-Identifier: Apache-2.0
import { decodeTokens } from "../stream/streaming-detokenizer.js";
import { ByteTable } from "./byte-table.js";
import type { DecodeOptions, TokenizerInfo, TokenTexts } from "./tokenizer.js";
import type { TokenizerDocument } from "./tokenizer-document.js";

/** What a tokenizer's document does not say of itself. */
export interface TokenizerSource {
	readonly path: string;
	readonly format: TokenizerInfo["format"];
	readonly bosTokenId: number | null;
	readonly eosTokenIds: readonly number[];
}

/** Decodes with a table of every token's bytes. */
export class TokenTable implements TokenTexts {
	readonly info: TokenizerInfo;
	readonly vocabSize: number;
	readonly bosTokenId: number | null;
	readonly eosTokenIds: readonly number[];
	readonly #bytes: ByteTable;
	readonly #ids: ReadonlyMap<string, number>;
	readonly #addedIds = new Map<string, number>();
	/** 1 for control tokens. */
	readonly #special: Uint8Array;

	constructor(document: TokenizerDocument, source: TokenizerSource) {
		const { addedTokens, model, decoder } = document;
		this.#bytes = new ByteTable(document);
		this.#ids = model.vocab;
		this.#special = new Uint8Array(this.#bytes.size);
		for (const { content, id, special } of addedTokens) {
			this.#addedIds.set(content, id);
			if (special) this.#special[id] = 1;
		}
		this.vocabSize = this.#bytes.size;
		this.bosTokenId = source.bosTokenId;
		this.eosTokenIds = source.eosTokenIds;
		this.info = {
			path: source.path,
			format: source.format,
			model: model.type,
			leadingSpace: decoder.leadingSpace,
			specialTokens: addedTokens.filter((token) => token.special).map((token) => token.content),
		};
	}

	decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
		return decodeTokens(this, ids, options);
	}

	tokenBytes(id: number): Uint8Array {
		return this.#bytes.get(id);
	}

	isSpecial(id: number): boolean {
		return this.#special[id] === 1;
	}

	idOf(token: string): number | undefined {
		return this.#addedIds.get(token) ?? this.#ids.get(token);
	}
}
