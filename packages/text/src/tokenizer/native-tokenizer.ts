// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { Model } from "tokenizers";
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
		const { json, model, names } = guardDocument(document);
		const native = Native.fromString(json);
		const uncached = await withoutCache(document, model);
		if (uncached) native.setModel(uncached);
		return new NativeTokenizer(native, document, names, options);
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${document.source}: ${(error as Error).message}`, { cause: error });
	}
}

/**
 * The model of a BPE document without the cache of 10,000 words that one read from a file has: that grows by some 3 KB
 * per prompt until it holds 100 MB, and real text is segmented as fast without it. Null where the native tokenizer
 * offers no such choice: a model that skips its merges, and other kinds, which have no cache or a smaller one.
 */
async function withoutCache(
	{ model: { type, settings } }: TokenizerDocument,
	guarded: Readonly<Record<string, unknown>>,
): Promise<Model | null> {
	if (type !== "BPE" || settings["ignore_merges"]) return null;
	const { BPE } = await import("tokenizers");
	return BPE.init(guarded["vocab"] as Record<string, number>, guarded["merges"] as [string, string][], {
		cacheCapacity: 0,
		fuseUnk: settings["fuse_unk"] as boolean,
		byteFallback: settings["byte_fallback"] as boolean,
		...(guarded["unk_token"] === null ? {} : { unkToken: guarded["unk_token"] as string }),
		...(settings["end_of_word_suffix"] === null
			? {}
			: { endOfWordSuffix: settings["end_of_word_suffix"] as string }),
	});
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
