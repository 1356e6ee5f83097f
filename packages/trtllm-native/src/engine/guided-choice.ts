// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import {
	BusyError,
	GrammarError,
	type GuidedText,
	type GuidedTexts,
	type Vocabulary,
} from "@dyn/logits/grammar";
import type { GenerateRequest, GuidedDecoding } from "@dyn/protocols";
import type { ResolvedSampling } from "../sampling/resolve-sampling.js";
import type { OpenEngine } from "./core-options.js";

/** What makes guided decoding possible: grammars over the vocabulary of the model. */
export interface Grammars {
	/** The core closes it. */
	readonly texts: GuidedTexts;
	readonly vocabulary: Vocabulary;
}

/** The request's field of a constraint, where its kind tells. */
const FIELDS: Partial<Record<GuidedDecoding["kind"], string>> = {
	regex: "guided_regex",
	grammar: "guided_grammar",
	choice: "guided_choice",
};

/** Keeps one choice within its guide. */
export class GuidedChoice {
	/** The request's field that it comes from, for errors. */
	readonly field: string;
	readonly #text: GuidedText;
	readonly #words: number;
	/** Control tokens that end the choice; such a token is no text, so no grammar knows of it. */
	readonly #ends: readonly number[];
	readonly #minTokens: number;

	constructor(
		field: string,
		text: GuidedText,
		vocabSize: number,
		ends: readonly number[],
		minTokens: number,
	) {
		this.field = field;
		this.#text = text;
		this.#words = Math.ceil(vocabSize / 32);
		this.#ends = ends;
		this.#minTokens = minTokens;
	}

	/** Whether `mask` has an answer, or an error. */
	get isReady(): boolean {
		try {
			return this.#text.next() !== null;
		} catch {
			return true;
		}
	}

	/** Resolves when `isReady`, or when the choice is closed. */
	ready(): Promise<void> {
		return this.#text.ready();
	}

	/**
	 * Tokens that may come next, the end among them where the text may end and is long enough; null: it has ended.
	 * @param answered tokens of the answer so far
	 * @throws DynError INVALID_ARGUMENT when the guide asks for too much, INTERNAL when the grammar's thread failed.
	 */
	mask(answered: number): Uint32Array | null {
		let next: ReturnType<GuidedText["next"]>;
		try {
			next = this.#text.next();
		} catch (error) {
			throw guideError(error, this.field);
		}
		if (!next?.mask) return null;
		const mask = new Uint32Array(this.#words);
		mask.set(next.mask.subarray(0, this.#words));
		if (next.mayEnd && answered >= this.#minTokens)
			for (const id of this.#ends) mask[id >>> 5]! |= 1 << (id & 31);
		return mask;
	}

	/** Goes on by a token of the text; its successors are worked out meanwhile. */
	accept(tokenId: number): void {
		this.#text.accept(tokenId);
	}

	close(): void {
		this.#text.close();
	}
}

/**
 * A guide for each choice of a request, compiled; none where there are no grammars. A request that another instance began
 * goes on where that one was.
 * @param ends ids that end a choice
 * @param check called when all are open; when it throws they are closed again
 * @throws DynError INVALID_ARGUMENT saying what cannot be honoured, OVERLOADED when too many are being compiled.
 */
export async function openGuides(
	{ grammars, spec }: Pick<OpenEngine, "grammars" | "spec">,
	{ guided, tokenIds, resumedTokens }: GenerateRequest,
	{ choices, params }: ResolvedSampling,
	ends: readonly number[],
	check: () => void,
): Promise<GuidedChoice[]> {
	if (!guided || !grammars) return [];
	const field = FIELDS[guided.kind] ?? "response_format";
	const { offsets } = grammars.vocabulary;
	const written = tokenIds.slice(tokenIds.length - resumedTokens);
	const controls = ends.filter((id) => id < spec.vocabSize && offsets[id] === offsets[id + 1]);
	const opened = await Promise.allSettled(
		Array.from({ length: choices }, () => grammars.texts.open(guided, written)),
	);
	const texts = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
	try {
		const failed = opened.find((each) => each.status === "rejected");
		if (failed) throw guideError(failed.reason, field);
		check();
	} catch (error) {
		for (const text of texts) text.close();
		throw error;
	}
	// The sampler counts min_tokens from the answer's beginning; so does the guide.
	const { minTokens } = params(0);
	return texts.map((text) => new GuidedChoice(field, text, spec.vocabSize, controls, minTokens));
}

function guideError(error: unknown, field: string): DynError {
	if (error instanceof BusyError) return new DynError("OVERLOADED", error.message, { cause: error });
	if (!(error instanceof GrammarError)) return DynError.from(error);
	return new DynError("INVALID_ARGUMENT", `the answer's constraint cannot be honoured: ${error.message}`, {
		cause: error,
		details: { param: field },
	});
}
