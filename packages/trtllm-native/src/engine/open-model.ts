// SPDX-License-Identifier: Apache-2.0
import type { ForwardBackend } from "../backend/forward-backend.js";
import { loadModelWeights } from "../model/load-model-weights.js";
import type { ModelSpec } from "../model/model-spec.js";
import { type EmbeddedEngineOptions, type EngineLimits, resolveLimits } from "./options.js";

/** Tokens of a KV block: fixed in the kernels, and TensorRT-LLM's default. */
export const KV_BLOCK_SIZE = 32;

export interface OpenModel {
	readonly spec: ModelSpec;
	readonly limits: EngineLimits;
	readonly backend: ForwardBackend;
	readonly kvBlockSize: number;
}

/** Reads the checkpoint, settles the limits and loads the backend that was asked for. */
export async function openModel(options: EmbeddedEngineOptions): Promise<OpenModel> {
	const weights = await loadModelWeights(options.modelPath);
	const { spec } = weights;
	const bytesPerValue = options.precision === "f32" || options.backend === "reference" ? 4 : 2;
	const kvBlockBytes = spec.numLayers * spec.numKvHeads * spec.headDim * KV_BLOCK_SIZE * 2 * bytesPerValue;
	const limits = resolveLimits(options, spec, KV_BLOCK_SIZE, kvBlockBytes);
	const shared = {
		weights,
		numKvBlocks: limits.numKvBlocks,
		maxSequences: limits.maxNumSeqs,
		maxBatchedTokens: limits.maxNumBatchedTokens,
	};
	if (options.backend === "reference") {
		const { createReferenceBackend } = await import("../backend/reference/reference-backend.js");
		return { spec, limits, kvBlockSize: KV_BLOCK_SIZE, backend: await createReferenceBackend(shared) };
	}
	const { createNativeBackend } = await import("../native/native-backend.js");
	const backend = await createNativeBackend({
		...shared,
		threads: limits.threads,
		isa: options.isa,
		precision: options.precision,
		nativePath: options.nativePath,
		...(options.logger ? { logger: options.logger } : {}),
	});
	return { spec, limits, kvBlockSize: KV_BLOCK_SIZE, backend };
}
