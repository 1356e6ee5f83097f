// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ServableModel } from "../models/model-directory.js";

/** A text of more characters per context token than this is first judged by its beginning. */
const CHARACTERS_PER_TOKEN = 6;

/** @throws DynError CONTEXT_LENGTH_EXCEEDED */
export function checkContext({ card }: ServableModel, tokens: number, param: string, atLeast = false): void {
	if (tokens < card.contextLength) return;
	throw new DynError(
		"CONTEXT_LENGTH_EXCEEDED",
		`This model's maximum context length is ${card.contextLength} tokens. However, your messages resulted in ${atLeast ? "at least " : ""}${tokens} tokens. Please reduce the length of the messages.`,
		{ details: { param } },
	);
}

/**
 * Refuses a text that is hopelessly long after tokenizing no more of it than could fit, so that a 40 MB prompt costs
 * what a full context costs.
 */
export async function checkTextLength(model: ServableModel, text: string, param: string): Promise<void> {
	const limit = model.card.contextLength * CHARACTERS_PER_TOKEN;
	if (text.length <= limit) return;
	const beginning = await model.tokenizer.encode(text.slice(0, limit), { addSpecialTokens: false });
	// The cut may have made one token of what is half a token.
	checkContext(model, beginning.length - 1, param, true);
}
