// SPDX-License-Identifier: Apache-2.0
import { openCheckpoint } from "@dyn/models";
import { ggufSpec } from "./gguf-spec.js";
import { huggingFaceSpec } from "./hugging-face-spec.js";
import { locateTensors } from "./locate-tensors.js";
import type { ModelWeights } from "./model-spec.js";
import { type Quantization, quantizeWeights, requireQuantization } from "./quantize-weights.js";
import { validateSpec } from "./validate-spec.js";

export interface LoadModelOptions {
	/** Quantises matrices that are stored as F32, F16 or BF16 when a backend loads them. Default: as stored. */
	readonly quantization?: Quantization | undefined;
}

/**
 * What a model is and where its weights are; reads headers only.
 * @throws DynError NOT_FOUND when there is nothing at `path`; MODEL_FORMAT naming the unknown architecture, the wrong
 * field, the tensor that is missing or has the wrong shape, or one that the architecture has no use for; INVALID_ARGUMENT
 * when `quantization` is given for weights that are quantised already.
 */
export async function loadModelWeights(
	path: string,
	{ quantization }: LoadModelOptions = {},
): Promise<ModelWeights> {
	const checkpoint = await openCheckpoint(path);
	const declared = checkpoint.format === "gguf" ? await ggufSpec(checkpoint) : huggingFaceSpec(checkpoint);
	const spec = validateSpec(path, declared);
	const weights = { spec, tensors: locateTensors(checkpoint, spec) };
	return quantization === undefined ? weights : quantizeWeights(weights, requireQuantization(quantization));
}
