// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import { decodeTokens } from "../stream/streaming-detokenizer.js";
import { ByteTable } from "./byte-table.js";
import { ControlTokenText } from "./control-token-text.js";
import { guardDocument } from "./guarded-document.js";
import type { SurroundingIds } from "./post-processor.js";
import {
	type DecodeOptions,
	type EncodeOptions,
	MAX_TEXT_LENGTH,
	type Tokenizer,
	type TokenizerInfo,
} from "./tokenizer.js";
import type { TokenizerDocument } from "./tokenizer-document.js";

/** The part of the native tokenizer (npm `tokenizers`) that is used. */
interface NativeEncoder {
	encode(text: string, pair: null, options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }>;
}

export interface NativeTokenizerOptions {
	readonly path: string;
	readonly format: TokenizerInfo["format"];
	readonly bosTokenId: number | null;
	readonly eosTokenIds: readonly number[];
}

/** @throws DynError MODEL_FORMAT when the native tokenizer refuses the document. */
export async function createNativeTokenizer(
	document: TokenizerDocument,
	options: NativeTokenizerOptions,
): Promise<Tokenizer> {
	const { Tokenizer: Native } = await import("tokenizers");
	try {
		const { json, names } = guardDocument(document);
		return new NativeTokenizer(Native.fromString(json), document, names, options);
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${document.source}: ${(error as Error).message}`, { cause: error });
	}
}

/** Encodes with the native tokenizer, decodes with a byte table. */
class NativeTokenizer implements Tokenizer {
	readonly info: TokenizerInfo;
	readonly vocabSize: number;
	readonly bosTokenId: number | null;
	readonly eosTokenIds: readonly number[];
	readonly #native: NativeEncoder;
	readonly #controlText: ControlTokenText;
	readonly #surrounding: SurroundingIds;
	readonly #bytes: ByteTable;
	readonly #ids: Map<string, number>;
	/** 1 for control tokens. */
	readonly #special: Uint8Array;

	constructor(
		native: NativeEncoder,
		document: TokenizerDocument,
		names: ReadonlyMap<string, string>,
		options: NativeTokenizerOptions,
	) {
		const { addedTokens, model, decoder } = document;
		this.#native = native;
		this.#controlText = new ControlTokenText(addedTokens, names);
		this.#surrounding = document.surrounding;
		this.#bytes = new ByteTable(document);
		this.#ids = new Map(model.vocab);
		this.#special = new Uint8Array(this.#bytes.size);
		for (const { content, id, special } of addedTokens) {
			this.#ids.set(content, id);
			if (special) this.#special[id] = 1;
		}
		this.vocabSize = this.#bytes.size;
		this.bosTokenId = options.bosTokenId;
		this.eosTokenIds = options.eosTokenIds;
		this.info = {
			path: options.path,
			format: options.format,
			model: model.type,
			leadingSpace: decoder.leadingSpace,
			specialTokens: addedTokens.filter((token) => token.special).map((token) => token.content),
		};
	}

	async encode(text: string, options: EncodeOptions = {}): Promise<Uint32Array> {
		if (text.length > MAX_TEXT_LENGTH)
			throw invalidArgument(
				"text",
				`the text has ${text.length} characters, more than the ${MAX_TEXT_LENGTH} that can be tokenized at once; shorten it`,
			);
		const prepared = options.parseSpecial
			? this.#controlText.rename(text, options.literalOffsets ?? [])
			: text;
		const ids = (await this.#native.encode(prepared, null, { addSpecialTokens: false })).getIds();
		const { before, after } = this.#surrounding;
		if (options.addSpecialTokens === false || before.length + after.length === 0)
			return Uint32Array.from(ids);
		return Uint32Array.from([...before, ...ids, ...after]);
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
		return this.#ids.get(token);
	}
}
