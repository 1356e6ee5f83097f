// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { Model } from "tokenizers";
import { ControlTokenText } from "./control-token-text.js";
import { type GuardedDocument, guardDocument } from "./guarded-document.js";
import type { SurroundingIds } from "./post-processor.js";
import { type TokenizerSource, TokenTable } from "./token-table.js";
import { type EncodeOptions, MAX_TEXT_LENGTH, type Tokenizer } from "./tokenizer.js";
import type { TokenizerDocument } from "./tokenizer-document.js";

/** The part of the native tokenizer (npm `tokenizers`) that is used. */
interface NativeEncoder {
	encode(text: string, pair: null, options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }>;
	setModel(model: Model): void;
}

/** @throws DynError MODEL_FORMAT when the native tokenizer refuses the document. */
export async function createNativeTokenizer(
	document: TokenizerDocument,
	source: TokenizerSource,
): Promise<Tokenizer> {
	const library = await import("tokenizers");
	try {
		const guarded = guardDocument(document);
		return new NativeTokenizer(createEncoder(library, guarded), guarded, document, source);
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${document.source}: ${(error as Error).message}`, { cause: error });
	}
}

/**
 * A BPE model that is read from a document gets a cache of 10,000 words, which grows by some 3 KB per prompt until it
 * holds 100 MB, and real text is segmented as fast without it. So it is put into a tokenizer that was read without it:
 * its added tokens are all that such a document needs. A model that skips its merges offers no such choice; other
 * kinds have no cache or a smaller one.
 */
function createEncoder(
	{ BPE, Tokenizer: Native }: typeof import("tokenizers"),
	{ addedTokens, pipeline, model }: GuardedDocument,
): NativeEncoder {
	const read = (model: object): NativeEncoder =>
		Native.fromString(
			JSON.stringify({
				version: "1.0",
				truncation: null,
				padding: null,
				added_tokens: addedTokens,
				...pipeline,
				post_processor: null,
				decoder: null,
				model,
			}),
		);
	if (model["type"] !== "BPE" || model["ignore_merges"]) return read(model);
	const { vocab, merges, ...settings } = model;
	const native = read({
		...settings,
		unk_token: null,
		vocab: Object.fromEntries(addedTokens.map(({ content, id }) => [content, id])),
		merges: [],
	});
	native.setModel(
		BPE.init(vocab as Record<string, number>, merges as [string, string][], {
			cacheCapacity: 0,
			fuseUnk: settings["fuse_unk"] as boolean,
			byteFallback: settings["byte_fallback"] as boolean,
			...(settings["unk_token"] === null ? {} : { unkToken: settings["unk_token"] as string }),
			...(settings["end_of_word_suffix"] === null
				? {}
				: { endOfWordSuffix: settings["end_of_word_suffix"] as string }),
		}),
	);
	return native;
}

/** Encodes with the native tokenizer. */
class NativeTokenizer extends TokenTable implements Tokenizer {
	readonly #native: NativeEncoder;
	readonly #controlText: ControlTokenText;
	readonly #surrounding: SurroundingIds;

	constructor(
		native: NativeEncoder,
		{ names }: GuardedDocument,
		document: TokenizerDocument,
		source: TokenizerSource,
	) {
		super(document, source);
		this.#native = native;
		this.#controlText = new ControlTokenText(document.addedTokens, names);
		this.#surrounding = document.surrounding;
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
}
