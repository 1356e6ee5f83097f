// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { EmbedRequest } from "@dyn/protocols";

/**
 * @param model what the engine has loaded
 * @throws DynError INVALID_ARGUMENT naming the field, CONTEXT_LENGTH_EXCEEDED when an input does not fit
 */
export function validateEmbedRequest(
	{ inputs, dimensions, dpRank }: EmbedRequest,
	model: {
		readonly vocabSize: number;
		readonly contextLength: number;
		readonly embeddingSize: number;
		readonly dpRank: number;
	},
): void {
	if (dpRank !== null && dpRank !== model.dpRank)
		throw invalidArgument("dp_rank", `dp_rank is ${dpRank}, but this engine has rank ${model.dpRank} only`);
	if (
		dimensions !== null &&
		!(Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= model.embeddingSize)
	)
		throw invalidArgument(
			"dimensions",
			`dimensions must be 1 to ${model.embeddingSize}, the size of this model's embeddings, got ${dimensions}`,
		);
	if (inputs.length === 0) throw invalidArgument("input", "there is no input to embed");
	for (const [index, input] of inputs.entries()) {
		if (input.length === 0)
			throw invalidArgument("input", `input ${index} is empty: it needs at least one token`);
		const unknown = Array.prototype.find.call(
			input,
			(id: number) => !(Number.isInteger(id) && id >= 0 && id < model.vocabSize),
		);
		if (unknown !== undefined)
			throw invalidArgument(
				"input",
				`input ${index} has the token id ${unknown}, which is not in the vocabulary of ${model.vocabSize}`,
			);
		if (input.length > model.contextLength)
			throw new DynError(
				"CONTEXT_LENGTH_EXCEEDED",
				`input ${index} has ${input.length} tokens, but the context holds ${model.contextLength}; shorten it`,
				{ details: { param: "input" } },
			);
	}
}
