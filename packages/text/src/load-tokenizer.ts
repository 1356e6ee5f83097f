// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { byteLevelBytes, isByteLevel, metaspaceBytes } from "./token-bytes.js";
import type { EncodeOptions, PromptSegment, Tokenizer } from "./tokenizer.js";
import { readTextFiles, type TextFiles, type TokenizerDocument } from "./tokenizer-document.js";

/**
 * The tokenizer of a Hugging Face folder (tokenizer.json) or a GGUF file. Encoding is done by the `tokenizers` package.
 * @throws DynError NOT_FOUND or MODEL_FORMAT, naming file and problem.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
	return createTokenizer(path, await readTextFiles(path));
}

/** An encoder of the `tokenizers` package. */
interface Encoder {
	encode(text: string, pair: null, options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }>;
}

export async function createTokenizer(where: string, files: TextFiles): Promise<Tokenizer> {
	// CommonJS: its exports arrive as the default export.
	const { default: library } = await import("tokenizers");
	const encoderOf = (document: TokenizerDocument): Encoder => {
		try {
			return library.Tokenizer.fromString(JSON.stringify(document)) as unknown as Encoder;
		} catch (error) {
			throw new DynError(
				"MODEL_FORMAT",
				`${where} has a tokenizer that cannot be used: ${(error as Error).message}`,
				{ cause: error },
			);
		}
	};
	return new HuggingFaceTokenizer(files, encoderOf(files.document), () =>
		encoderOf({ ...files.document, added_tokens: [], post_processor: null }),
	);
}

class HuggingFaceTokenizer implements Tokenizer {
	readonly vocabSize: number;
	readonly eosTokenIds: readonly number[];
	readonly bosToken: string;
	readonly eosToken: string;
	readonly specialTexts: readonly string[];
	readonly stripsLeadingSpace: boolean;
	readonly #encoder: Encoder;
	/** Knows no special tokens; made when it is first needed. */
	readonly #makePlainEncoder: () => Encoder;
	#plainEncoder: Encoder | null = null;
	readonly #tokens: string[] = [];
	readonly #bytes: (Uint8Array | undefined)[] = [];
	readonly #toBytes: (token: string) => Uint8Array;
	readonly #added = new Set<number>();
	readonly #special = new Set<number>();

	constructor(
		{ document, bosToken, eosToken, eosTokenIds }: TextFiles,
		encoder: Encoder,
		makePlainEncoder: () => Encoder,
	) {
		const { vocab } = document.model;
		if (Array.isArray(vocab)) for (const [id, [token]] of vocab.entries()) this.#tokens[id] = token;
		else for (const [token, id] of Object.entries(vocab)) this.#tokens[id as number] = token;
		for (const { id, content, special } of document.added_tokens ?? []) {
			this.#tokens[id] = content;
			this.#added.add(id);
			if (special) this.#special.add(id);
		}
		this.vocabSize = this.#tokens.length;
		this.bosToken = bosToken;
		this.eosToken = eosToken;
		this.eosTokenIds =
			eosTokenIds.length > 0
				? eosTokenIds
				: this.#tokens.flatMap((token, id) => (token === eosToken && eosToken ? [id] : []));
		this.specialTexts = [...this.#added].map((id) => this.#tokens[id]!).filter((text) => text.length > 0);
		const byteLevel = isByteLevel(document.decoder);
		this.#toBytes = byteLevel ? byteLevelBytes : metaspaceBytes;
		this.stripsLeadingSpace = !byteLevel && JSON.stringify(document.decoder ?? null).includes('"Strip"');
		this.#encoder = encoder;
		this.#makePlainEncoder = makePlainEncoder;
	}

	async encode(
		text: string,
		{ parseSpecial = true, addSpecialTokens = true }: EncodeOptions = {},
	): Promise<Uint32Array> {
		if (!parseSpecial) this.#plainEncoder ??= this.#makePlainEncoder();
		const encoder = parseSpecial ? this.#encoder : this.#plainEncoder!;
		return Uint32Array.from((await encoder.encode(text, null, { addSpecialTokens })).getIds());
	}

	async encodeSegments(segments: readonly PromptSegment[]): Promise<Uint32Array> {
		const parts = await Promise.all(
			segments.map(({ text, trusted }) =>
				this.encode(text, { parseSpecial: trusted, addSpecialTokens: false }),
			),
		);
		const ids = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
		let at = 0;
		for (const part of parts) {
			ids.set(part, at);
			at += part.length;
		}
		return ids;
	}

	tokenBytes(id: number): Uint8Array {
		const known = this.#bytes[id];
		if (known) return known;
		const token = this.#tokens[id];
		if (token === undefined) return new Uint8Array(0);
		const bytes = this.#added.has(id) ? new TextEncoder().encode(token) : this.#toBytes(token);
		this.#bytes[id] = bytes;
		return bytes;
	}

	isSpecial(id: number): boolean {
		return this.#special.has(id);
	}
}
