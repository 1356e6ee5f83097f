// SPDX-License-Identifier: Apache-2.0
import type { AdapterPart, Projection } from "../../lora/adapter-weights.js";
import type { ReferenceLayer, ReferenceModel } from "./reference-model.js";

/** Parts of an adapter by layer and projection: "3.q". */
export type ReferenceAdapter = ReadonlyMap<string, AdapterPart>;

/** Keys and values of every block: [block][layer][key or value][token][kvDim]. */
export class ReferenceKv {
	readonly #data: Float32Array;
	readonly #blockSize: number;
	readonly #kvDim: number;
	readonly #layers: number;

	constructor(blocks: number, blockSize: number, layers: number, kvDim: number) {
		this.#data = new Float32Array(blocks * layers * 2 * blockSize * kvDim);
		this.#blockSize = blockSize;
		this.#kvDim = kvDim;
		this.#layers = layers;
	}

	/** Bytes of one block, all layers, keys and values. */
	get blockBytes(): number {
		return this.#layers * 2 * this.#blockSize * this.#kvDim * Float32Array.BYTES_PER_ELEMENT;
	}

	/** The bytes of a block, not a copy. */
	block(index: number): Uint8Array {
		return new Uint8Array(this.#data.buffer, index * this.blockBytes, this.blockBytes);
	}

	/** Key (0) or value (1) vector of a position, through a block table. */
	at(blocks: Uint32Array, layer: number, which: 0 | 1, position: number): Float32Array {
		const block = blocks[Math.floor(position / this.#blockSize)]!;
		const index =
			((block * this.#layers + layer) * 2 + which) * this.#blockSize + (position % this.#blockSize);
		return this.#data.subarray(index * this.#kvDim, (index + 1) * this.#kvDim);
	}

	/** The vectors of positions 0 .. count - 1. */
	first(count: number, blocks: Uint32Array, layer: number, which: 0 | 1): Float32Array[] {
		return Array.from({ length: count }, (_, position) => this.at(blocks, layer, which, position));
	}
}

/**
 * One token through the decoder: a straight line of named steps, every sum in f64. Writes its keys and values and
 * returns the hidden state after the last layer.
 */
export function forwardToken(
	model: ReferenceModel,
	kv: ReferenceKv,
	blocks: Uint32Array,
	position: number,
	token: number,
	adapter: ReferenceAdapter | null = null,
): Float32Array {
	const { spec } = model;
	const x = model.embed.slice(token * spec.hiddenSize, (token + 1) * spec.hiddenSize);
	for (const [index, layer] of model.layers.entries()) {
		addInto(
			x,
			attention(
				model,
				layer,
				index,
				kv,
				blocks,
				position,
				rmsNorm(x, layer.attnNorm, spec.rmsNormEps),
				adapter,
			),
		);
		addInto(x, mlp(layer, index, rmsNorm(x, layer.mlpNorm, spec.rmsNormEps), adapter));
	}
	return x;
}

/** Hidden state behind the final norm. */
export function finalHidden(model: ReferenceModel, hidden: Float32Array): Float32Array {
	return rmsNorm(hidden, model.finalNorm, model.spec.rmsNormEps);
}

/** Logits of a hidden state. */
export function headLogits(model: ReferenceModel, hidden: Float32Array): Float32Array {
	return multiply(model.head, finalHidden(model, hidden), null);
}

function attention(
	model: ReferenceModel,
	layer: ReferenceLayer,
	index: number,
	kv: ReferenceKv,
	blocks: Uint32Array,
	position: number,
	x: Float32Array,
	adapter: ReferenceAdapter | null,
): Float32Array {
	const project = projector(index, adapter);
	const { numHeads, numKvHeads, headDim, rmsNormEps } = model.spec;
	const q = project("q", layer.q, x, layer.qBias);
	const k = project("k", layer.k, x, layer.kBias);
	const v = project("v", layer.v, x, layer.vBias);
	for (const [vector, norm] of [[q, layer.qNorm] as const, [k, layer.kNorm] as const]) {
		for (let at = 0; at < vector.length; at += headDim) {
			const head = vector.subarray(at, at + headDim);
			if (norm) head.set(rmsNorm(head, norm, rmsNormEps));
			rotate(head, position, model.frequencies);
		}
	}
	kv.at(blocks, index, 0, position).set(k);
	kv.at(blocks, index, 1, position).set(v);

	const keys = kv.first(position + 1, blocks, index, 0);
	const values = kv.first(position + 1, blocks, index, 1);
	const context = new Float32Array(numHeads * headDim);
	const group = numHeads / numKvHeads;
	for (let h = 0; h < numHeads; h++) {
		const query = q.subarray(h * headDim, (h + 1) * headDim);
		const from = Math.floor(h / group) * headDim;
		const weights = softmax(keys.map((key) => dot(query, key, from) / Math.sqrt(headDim)));
		const sums = new Float64Array(headDim);
		for (const [t, value] of values.entries())
			for (let d = 0; d < headDim; d++) sums[d]! += weights[t]! * value[from + d]!;
		context.set(sums, h * headDim);
	}
	return project("o", layer.o, context, null);
}

function softmax(scores: readonly number[]): number[] {
	const top = scores.reduce((a, b) => Math.max(a, b));
	const weights = scores.map((score) => Math.exp(score - top));
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	return weights.map((weight) => weight / total);
}

function mlp(
	layer: ReferenceLayer,
	index: number,
	x: Float32Array,
	adapter: ReferenceAdapter | null,
): Float32Array {
	const project = projector(index, adapter);
	const gate = project("gate", layer.gate, x, null);
	const up = project("up", layer.up, x, null);
	const activated = gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!);
	return project("down", layer.down, activated, null);
}

/** Multiplies with a matrix of a layer, and adds what the adapter has for it. */
function projector(layer: number, adapter: ReferenceAdapter | null) {
	return (
		name: Projection,
		matrix: Float32Array,
		x: Float32Array,
		bias: Float32Array | null,
	): Float32Array => {
		const out = multiply(matrix, x, bias);
		const part = adapter?.get(`${layer}.${name}`);
		if (part) addInto(out, multiply(part.b, multiply(part.a, x, null), null));
		return out;
	};
}

function rmsNorm(x: Float32Array, weight: Float32Array, eps: number): Float32Array {
	let squares = 0;
	for (const value of x) squares += value * value;
	const scale = 1 / Math.sqrt(squares / x.length + eps);
	return x.map((value, i) => value * scale * weight[i]!);
}

/** Rotates the pairs (i, i + headDim/2). */
function rotate(head: Float32Array, position: number, frequencies: Float32Array): void {
	const half = frequencies.length;
	for (let i = 0; i < half; i++) {
		const angle = Math.fround(position * frequencies[i]!);
		const [a, b] = [head[i]!, head[i + half]!];
		head[i] = a * Math.cos(angle) - b * Math.sin(angle);
		head[i + half] = b * Math.cos(angle) + a * Math.sin(angle);
	}
}

/** Matrix [rows][x.length] times x, plus bias. */
function multiply(matrix: Float32Array, x: Float32Array, bias: Float32Array | null): Float32Array {
	const cols = x.length;
	const out = new Float32Array(matrix.length / cols);
	for (let row = 0; row < out.length; row++) {
		let sum = 0;
		for (let k = 0, at = row * cols; k < cols; k++) sum += matrix[at + k]! * x[k]!;
		out[row] = sum + (bias ? bias[row]! : 0);
	}
	return out;
}

/** query . vector[from .. from + query.length) */
function dot(query: Float32Array, vector: Float32Array, from: number): number {
	let sum = 0;
	for (let i = 0; i < query.length; i++) sum += query[i]! * vector[from + i]!;
	return sum;
}

function addInto(x: Float32Array, y: Float32Array): void {
	for (let i = 0; i < x.length; i++) x[i]! += y[i]!;
}
