// SPDX-License-Identifier: Apache-2.0
import { openCheckpoint } from "@dyn/models";
import { ggufSpec } from "./gguf-spec.js";
import { huggingFaceSpec } from "./hugging-face-spec.js";
import { locateTensors } from "./locate-tensors.js";
import type { ModelWeights } from "./model-spec.js";
import { validateSpec } from "./validate-spec.js";

/**
 * What a model is and where its weights are; reads headers only.
 * @throws DynError NOT_FOUND when there is nothing at `path`; MODEL_FORMAT naming the unknown architecture, the wrong
 * field, the tensor that is missing or has the wrong shape, or one that the architecture has no use for.
 */
export async function loadModelWeights(path: string): Promise<ModelWeights> {
	const checkpoint = await openCheckpoint(path);
	const declared = checkpoint.format === "gguf" ? await ggufSpec(checkpoint) : huggingFaceSpec(checkpoint);
	const spec = validateSpec(path, declared);
	return { spec, tensors: locateTensors(checkpoint, spec) };
}
