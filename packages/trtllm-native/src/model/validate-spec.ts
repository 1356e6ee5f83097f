// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ModelSpec } from "./model-spec.js";

/**
 * Checks what the kernels need beyond what the fields already promise. Ids that end a turn are made unique; those
 * outside the vocabulary (some configurations name a few) can never be generated and are left out.
 * @throws DynError MODEL_FORMAT saying which sizes do not fit together.
 */
export function validateSpec(path: string, spec: ModelSpec): ModelSpec {
	const [problem] = problems(spec);
	if (problem) throw new DynError("MODEL_FORMAT", `${path}: ${problem}`);
	return { ...spec, eosTokenIds: [...new Set(spec.eosTokenIds)].filter((id) => id < spec.vocabSize) };
}

function* problems(spec: ModelSpec): Generator<string> {
	const { numHeads, numKvHeads, headDim, hiddenSize, intermediateSize, ropeScaling } = spec;
	if (numHeads % numKvHeads !== 0)
		yield `${numHeads} query heads are not a multiple of ${numKvHeads} KV heads`;
	if (headDim % 16 !== 0 || headDim > 256)
		yield `the head dimension ${headDim} is not a multiple of 16 up to 256`;
	if (hiddenSize % 2 !== 0 || intermediateSize % 2 !== 0)
		yield `the hidden size ${hiddenSize} and the intermediate size ${intermediateSize} must be even`;
	if (ropeScaling && "factor" in ropeScaling) {
		const { lowFreqFactor: low, highFreqFactor: high } = ropeScaling;
		if (high <= low)
			yield `RoPE scaling needs high_freq_factor above low_freq_factor, not ${high} and ${low}`;
	}
}
