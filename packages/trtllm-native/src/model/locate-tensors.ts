// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Checkpoint } from "@dyn/models";
import type { ModelSpec, TensorSource } from "./model-spec.js";
import { checkpointName, type ExpectedTensor, expectedTensors } from "./tensor-names.js";

/** What checkpoints hold beside weights: constants of RoPE, which the spec covers. */
const NO_WEIGHT = /^rope_freqs\.weight$|\.rotary_emb\.inv_freq$/;

/**
 * Where each tensor of a model is.
 * @throws DynError MODEL_FORMAT naming a tensor that is missing, of the wrong shape, or that no step of the model would
 * read: a bias or a norm left out would not fail, only answer worse.
 */
export function locateTensors(checkpoint: Checkpoint, spec: ModelSpec): TensorSource[] {
	const unused = new Set(checkpoint.tensors.keys());
	// Models saved without their head, as those that embed often are, have no "model." before their names.
	const isBare = checkpoint.tensors.has("embed_tokens.weight");
	// One by one: a header that claims a billion layers fails at the first that is missing.
	const sources = Array.from(expectedTensors(spec), (expected) => {
		const name = checkpointName(expected.name, checkpoint.format);
		const stored = isBare ? name.replace(/^model\./, "") : name;
		unused.delete(stored);
		return locate(checkpoint, spec, expected, stored);
	});
	for (const name of unused) {
		if (NO_WEIGHT.test(name)) continue;
		throw wrongTensor(
			checkpoint,
			name,
			`has no place in a ${spec.architecture} decoder of ${spec.numLayers} layers: this engine would ignore it`,
		);
	}
	return sources;
}

function locate(
	checkpoint: Checkpoint,
	spec: ModelSpec,
	{ name, rows, cols }: ExpectedTensor,
	stored: string,
): TensorSource {
	const info = checkpoint.tensors.get(stored);
	if (!info) throw wrongTensor(checkpoint, stored, "is missing");
	const { shape, file, offset, byteLength, type } = info;
	const vector = rows === 1 && shape.length === 1 && shape[0] === cols;
	const matrix = shape.length === 2 && shape[0] === rows && shape[1] === cols;
	if (!vector && !matrix) {
		const wanted = rows === 1 ? `[${cols}]` : `[${rows}, ${cols}]`;
		throw wrongTensor(checkpoint, stored, `has shape [${shape.join(", ")}], but the model needs ${wanted}`);
	}
	return {
		name,
		file,
		offset,
		byteLength,
		type,
		rows,
		cols,
		permutedHeads: permutedHeads(checkpoint, spec, name),
	};
}

/** llama.cpp's converter reorders q and k of the llama architecture only; see TensorSource.permutedHeads. */
function permutedHeads({ format }: Checkpoint, spec: ModelSpec, name: string): number {
	if (format !== "gguf" || spec.architecture !== "llama") return 0;
	if (name.endsWith(".q")) return spec.numHeads;
	return name.endsWith(".k") ? spec.numKvHeads : 0;
}

function wrongTensor({ path }: Checkpoint, tensor: string, problem: string): DynError {
	return new DynError("MODEL_FORMAT", `${path}: the tensor ${tensor} ${problem}`, { details: { tensor } });
}
