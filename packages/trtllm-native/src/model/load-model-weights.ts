// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { type Checkpoint, openCheckpoint } from "@dyn/models";
import { ggufSpec } from "./gguf-spec.js";
import { huggingFaceSpec } from "./hugging-face-spec.js";
import type { ModelSpec, ModelWeights, TensorSource } from "./model-spec.js";
import { checkpointName, type ExpectedTensor, expectedTensors } from "./tensor-names.js";

/**
 * What a model is and where its weights are; reads headers only.
 * @throws DynError MODEL_FORMAT naming the unknown architecture, the missing tensor or the one of the wrong shape.
 */
export async function loadModelWeights(path: string): Promise<ModelWeights> {
	const checkpoint = await openCheckpoint(path);
	const declared = checkpoint.format === "gguf" ? ggufSpec(checkpoint) : huggingFaceSpec(checkpoint);
	// Some checkpoints say "tied" and bring a head all the same, or the reverse: the tensors decide.
	const spec: ModelSpec = {
		...declared,
		tiedHead: !checkpoint.tensors.has(checkpointName("head", checkpoint.format)),
	};
	validateSpec(path, spec);
	return { spec, tensors: expectedTensors(spec).map((expected) => locate(checkpoint, spec, expected)) };
}

function locate(checkpoint: Checkpoint, spec: ModelSpec, { name, rows, cols }: ExpectedTensor): TensorSource {
	const stored = checkpointName(name, checkpoint.format);
	const info = checkpoint.tensors.get(stored);
	if (!info)
		throw new DynError("MODEL_FORMAT", `${checkpoint.path}: the tensor ${stored} is missing`, {
			details: { tensor: stored },
		});
	const shape = rows === 1 && info.shape.length === 1 ? [1, ...info.shape] : info.shape;
	if (shape.length !== 2 || shape[0] !== rows || shape[1] !== cols) {
		throw new DynError(
			"MODEL_FORMAT",
			`${checkpoint.path}: the tensor ${stored} has shape [${info.shape}], but the model needs [${rows}, ${cols}]`,
			{
				details: { tensor: stored },
			},
		);
	}
	const permuted = checkpoint.format === "gguf" && spec.architecture === "llama";
	const permutedHeads = !permuted
		? 0
		: name.endsWith(".q")
			? spec.numHeads
			: name.endsWith(".k")
				? spec.numKvHeads
				: 0;
	return {
		name,
		file: info.file,
		offset: info.offset,
		byteLength: info.byteLength,
		type: info.type,
		rows,
		cols,
		permutedHeads,
	};
}

/** What the kernels need beyond what the fields already promise. */
function validateSpec(path: string, spec: ModelSpec): void {
	const problem =
		spec.numHeads % spec.numKvHeads !== 0
			? `${spec.numHeads} query heads are not a multiple of ${spec.numKvHeads} KV heads`
			: spec.headDim % 16 !== 0 || spec.headDim > 256
				? `the head dimension ${spec.headDim} is not a multiple of 16 up to 256`
				: spec.hiddenSize % 2 !== 0 || spec.intermediateSize % 2 !== 0
					? "hidden and intermediate size must be even"
					: null;
	if (problem) throw new DynError("MODEL_FORMAT", `${path}: ${problem}`);
}
