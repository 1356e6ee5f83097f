// SPDX-License-Identifier: Apache-2.0
import { dequantize, quantize, readTensor } from "@dyn/models";
import type { ModelSpec, ModelWeights, TensorSource } from "../../model/model-spec.js";
import { ropeFrequencies } from "../../model/rope-frequencies.js";
import type { ReferenceAdapter } from "./reference-forward.js";

export interface ReferenceLayer {
	readonly attnNorm: Float32Array;
	readonly mlpNorm: Float32Array;
	readonly q: Float32Array;
	readonly k: Float32Array;
	readonly v: Float32Array;
	readonly o: Float32Array;
	readonly gate: Float32Array;
	readonly up: Float32Array;
	readonly down: Float32Array;
	readonly qBias: Float32Array | null;
	readonly kBias: Float32Array | null;
	readonly vBias: Float32Array | null;
	readonly qNorm: Float32Array | null;
	readonly kNorm: Float32Array | null;
}

/** Every weight as f32, row-major. */
export interface ReferenceModel {
	readonly spec: ModelSpec;
	readonly frequencies: Float32Array;
	readonly embed: Float32Array;
	readonly head: Float32Array;
	readonly finalNorm: Float32Array;
	readonly layers: readonly ReferenceLayer[];
	readonly bytes: number;
	/** By id; of all backends over these weights. */
	readonly adapters: Map<number, ReferenceAdapter>;
}

export async function loadReferenceModel({ spec, tensors }: ModelWeights): Promise<ReferenceModel> {
	const values = new Map<string, Float32Array>();
	let bytes = 0;
	for (const tensor of tensors) {
		const value = unpermute(tensor, await weightsOf(tensor));
		values.set(tensor.name, value);
		bytes += value.byteLength;
	}
	const get = (name: string) => values.get(name)!;
	return {
		spec,
		frequencies: ropeFrequencies(spec),
		embed: get("embed"),
		head: values.get("head") ?? get("embed"),
		finalNorm: get("finalNorm"),
		layers: Array.from({ length: spec.numLayers }, (_, i) => {
			const at = (name: string) => get(`layers.${i}.${name}`);
			const maybe = (name: string) => values.get(`layers.${i}.${name}`) ?? null;
			return {
				attnNorm: at("attnNorm"),
				mlpNorm: at("mlpNorm"),
				q: at("q"),
				k: at("k"),
				v: at("v"),
				o: at("o"),
				gate: at("gate"),
				up: at("up"),
				down: at("down"),
				qBias: maybe("qBias"),
				kBias: maybe("kBias"),
				vBias: maybe("vBias"),
				qNorm: maybe("qNorm"),
				kNorm: maybe("kNorm"),
			};
		}),
		bytes,
		adapters: new Map(),
	};
}

/** Values of a tensor as f32; those of its blocks where it is to be quantised. */
async function weightsOf(tensor: TensorSource): Promise<Float32Array> {
	const { quantizeTo, rows, cols } = tensor;
	const values = await readTensor(tensor, rows * cols);
	return quantizeTo ? dequantize(quantizeTo, quantize(quantizeTo, values), values.length) : values;
}

/** Undoes the row order of GGUF's llama q and k matrices; see TensorSource.permutedHeads. */
function unpermute({ rows, cols, permutedHeads }: TensorSource, stored: Float32Array): Float32Array {
	if (permutedHeads === 0) return stored;
	const headDim = rows / permutedHeads;
	const half = headDim / 2;
	const out = new Float32Array(stored.length);
	for (let row = 0; row < rows; row++) {
		const head = Math.floor(row / headDim);
		const within = row % headDim;
		const source = head * headDim + (within % half) * 2 + Math.floor(within / half);
		out.set(stored.subarray(source * cols, (source + 1) * cols), row * cols);
	}
	return out;
}
