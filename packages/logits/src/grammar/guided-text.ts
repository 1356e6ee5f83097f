// SPDX-License-Identifier: Apache-2.0
import type { NextTokens } from "./compiled-grammar.js";
import type { Guide } from "./guide.js";

/** A text that is being written under a guide. */
export interface GuidedText {
	/**
	 * What may follow; null while that is being worked out.
	 * @throws GrammarError when it cannot be, or a token did not follow; the text is lost then.
	 */
	next(): NextTokens | null;
	/** Resolves when `next` has an answer; never rejects. */
	ready(): Promise<void>;
	/** Goes on by one token; `next` is null until its successors are known. */
	accept(tokenId: number): void;
	/** Idempotent. */
	close(): void;
}

/** Where guided texts come from. */
export interface GuidedTexts {
	/**
	 * Begins a text.
	 * @param tokens what was written of it before, elsewhere
	 * @throws GrammarError when the guide cannot be honoured, or `tokens` break it; BusyError when too many texts are being opened.
	 */
	open(guide: Guide, tokens?: ArrayLike<number>): Promise<GuidedText>;
	/** Ends all texts. Idempotent. */
	close(): Promise<void>;
}

/** More was asked for at once than is queued. */
export class BusyError extends Error {
	override readonly name = "BusyError";
}
