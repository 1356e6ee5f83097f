// SPDX-License-Identifier: Apache-2.0
import type { ForwardBackend } from "../backend/forward-backend.js";
import { KV_BLOCK_SIZE } from "../backend/kv-block.js";
import type { EngineLimits } from "../engine/options.js";
import { loadModelWeights } from "../model/load-model-weights.js";
import type { ModelWeights } from "../model/model-spec.js";
import { DraftModel } from "./draft-model.js";
import { requireSameVocabulary } from "./vocabulary.js";

/** The model that is guessed for. */
export interface GuessedModel {
	readonly path: string;
	readonly vocabSize: number;
	readonly limits: EngineLimits;
}

/**
 * Loads a draft model. It gets as many KV blocks as the model has, of its own smaller size.
 * @throws DynError INVALID_ARGUMENT when its vocabulary is another one; what loading a model throws
 */
export async function openDraftModel(
	path: string,
	{ path: modelPath, vocabSize: modelVocabSize, limits }: GuessedModel,
	openBackend: (weights: ModelWeights) => Promise<ForwardBackend>,
): Promise<DraftModel> {
	await requireSameVocabulary(modelPath, path);
	const weights = await loadModelWeights(path);
	const backend = await openBackend(weights);
	const { vocabSize, contextLength } = weights.spec;
	return new DraftModel({
		backend,
		numKvBlocks: limits.numKvBlocks,
		kvBlockSize: KV_BLOCK_SIZE,
		maxSequences: limits.maxNumSeqs,
		maxBatchedTokens: limits.maxNumBatchedTokens,
		contextLength,
		vocabSize,
		modelVocabSize,
	});
}
