// SPDX-License-Identifier: Apache-2.0
import type { ModelSpec } from "./model-spec.js";

/**
 * Angle per position of each rotated pair, headDim/2 values: theta^(-2i/headDim), with Llama-3 scaling applied:
 * long wavelengths are divided by `factor`, short ones kept, those between blended
 * (formula: transformers `_compute_llama3_parameters`).
 */
export function ropeFrequencies(
	spec: Pick<ModelSpec, "headDim" | "ropeTheta" | "ropeScaling">,
): Float32Array {
	const half = spec.headDim / 2;
	return Float32Array.from({ length: half }, (_, i) => {
		const frequency = Math.fround(1 / spec.ropeTheta ** ((2 * i) / spec.headDim));
		const scaling = spec.ropeScaling;
		if (!scaling) return frequency;
		if ("divisors" in scaling) return frequency / scaling.divisors[i]!;
		const { factor, lowFreqFactor, highFreqFactor, originalContextLength } = scaling;
		const wavelength = (2 * Math.PI) / frequency;
		if (wavelength < originalContextLength / highFreqFactor) return frequency;
		if (wavelength > originalContextLength / lowFreqFactor) return frequency / factor;
		const smooth = (originalContextLength / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
		return ((1 - smooth) * frequency) / factor + smooth * frequency;
	});
}
