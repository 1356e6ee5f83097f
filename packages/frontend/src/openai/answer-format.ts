// SPDX-License-Identifier: Apache-2.0
import type { Usage } from "@dyn/protocols";
import type { ChoiceDelta } from "../pipeline/generation.js";

/** A choice, folded from its deltas. */
export interface FoldedChoice {
	text: string;
	logprobs: NonNullable<ChoiceDelta["logprobs"]>[number][] | null;
	finishReason: ChoiceDelta["finishReason"];
}

/** How one endpoint writes its answers. */
export interface AnswerFormat {
	/** The JSON of one stream event. */
	chunk(delta: ChoiceDelta, first: boolean, usage: Usage | null): string;
	/** The last event, when usage was asked for. */
	usageChunk(usage: Usage): string;
	whole(choices: readonly FoldedChoice[], usage: Usage): unknown;
}

/** OpenAI's usage object. */
export interface UsageObject {
	readonly prompt_tokens: number;
	readonly completion_tokens: number;
	readonly total_tokens: number;
	readonly prompt_tokens_details: { readonly cached_tokens: number };
}

export function usageObject({ promptTokens, completionTokens, cachedTokens }: Usage): UsageObject {
	return {
		prompt_tokens: promptTokens,
		completion_tokens: completionTokens,
		total_tokens: promptTokens + completionTokens,
		prompt_tokens_details: { cached_tokens: cachedTokens },
	};
}
