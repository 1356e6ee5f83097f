// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { QuantizedType, TensorType } from "@dyn/models";
import type { ModelWeights, TensorSource } from "./model-spec.js";

/** What weights that are stored plainly are turned into while they are loaded. */
export type Quantization = "int8" | "int4";

/** @throws DynError INVALID_ARGUMENT for any other value */
export function requireQuantization(value: string): Quantization {
	if (value === "int8" || value === "int4") return value;
	throw invalidArgument(
		"quantization",
		`quantization must be "int8" or "int4", got ${JSON.stringify(value)}`,
	);
}

const PLAIN: ReadonlySet<TensorType> = new Set<TensorType>(["F32", "F16", "BF16"]);
const GROUP = 32;

/**
 * The same weights with every matrix to be quantised by groups of 32 input features when a backend loads it. int8: Q8_0.
 * int4: Q4_1, but Q8_0 for the embedding, the head and the v projections (docs/decisions/0010). Vectors stay as they are.
 * @throws DynError INVALID_ARGUMENT when a matrix is quantised already, or its rows are no whole groups
 */
export function quantizeWeights({ spec, tensors }: ModelWeights, quantization: Quantization): ModelWeights {
	return {
		spec,
		tensors: tensors.map((tensor) =>
			tensor.rows === 1 ? tensor : { ...tensor, quantizeTo: targetOf(tensor, quantization) },
		),
	};
}

function targetOf({ name, file, type, cols }: TensorSource, quantization: Quantization): QuantizedType {
	if (!PLAIN.has(type))
		throw invalidArgument(
			"quantization",
			`${file} is quantised already (${name} is ${type}): serve it as it is, without a quantization, or take the F32, F16 or BF16 version of the model`,
		);
	if (cols % GROUP !== 0)
		throw invalidArgument(
			"quantization",
			`${file} cannot be quantised: rows of ${name} have ${cols} values, which is no multiple of ${GROUP}`,
		);
	const sensitive = name === "embed" || name === "head" || name.endsWith(".v");
	return quantization === "int4" && !sensitive ? "Q4_1" : "Q8_0";
}
