// SPDX-License-Identifier: Apache-2.0
// A second opinion, written from the papers and not from the code under test: the whole sequence at once as lists of
// rows, no cache, no blocks, a mask, RoPE as a rotation of complex numbers, every number f64.
import { readTensor } from "@dyn/models";
import type { ModelWeights } from "../../../model/model-spec.js";

type Row = readonly number[];
type Matrix = readonly Row[];

/** Logits after each of `tokens`. */
export async function naiveLogits({ spec, tensors }: ModelWeights, tokens: Iterable<number>): Promise<Matrix> {
	const loaded = new Map<string, Matrix>();
	for (const tensor of tensors) {
		const flat = await readTensor(tensor, tensor.rows * tensor.cols);
		const rows = Array.from({ length: tensor.rows }, (_, r) => [
			...flat.subarray(r * tensor.cols, (r + 1) * tensor.cols),
		]);
		loaded.set(tensor.name, tensor.permutedHeads ? deinterleave(rows, tensor.permutedHeads) : rows);
	}
	const matrix = (name: string): Matrix => loaded.get(name)!;
	const { headDim, numHeads, numKvHeads } = spec;

	let x: Matrix = [...tokens].map((token) => matrix("embed")[token]!);
	for (let layer = 0; layer < spec.numLayers; layer++) {
		const part = (name: string): Matrix => matrix(`layers.${layer}.${name}`);
		const project = (name: string, input: Matrix): Matrix => {
			const bias = loaded.get(`layers.${layer}.${name}Bias`)?.[0];
			return input.map((row) => part(name).map((weights, i) => inner(weights, row) + (bias?.[i] ?? 0)));
		};
		const heads = (rows: Matrix, norm: Matrix | undefined, rotated: boolean): Matrix[] =>
			Array.from({ length: rows[0]!.length / headDim }, (_, h) =>
				rows.map((row, position) => {
					const head = row.slice(h * headDim, (h + 1) * headDim);
					const normed = norm ? normalise(head, norm[0]!, spec.rmsNormEps) : head;
					return rotated ? rotate(normed, position, angles(spec)) : normed;
				}),
			);
		const input = x.map((row) => normalise(row, part("attnNorm")[0]!, spec.rmsNormEps));
		const q = heads(project("q", input), loaded.get(`layers.${layer}.qNorm`), true);
		const k = heads(project("k", input), loaded.get(`layers.${layer}.kNorm`), true);
		const v = heads(project("v", input), undefined, false);
		const attended = x.map((_, i) =>
			q.flatMap((queries, h) => {
				const shared = Math.floor((h * numKvHeads) / numHeads);
				const scores = k[shared]!.map((key, j) =>
					j <= i ? Math.exp(inner(queries[i]!, key) / Math.sqrt(headDim)) : 0,
				);
				const total = scores.reduce((a, b) => a + b);
				return Array.from({ length: headDim }, (_, d) =>
					scores.reduce((sum, score, j) => sum + (score / total) * v[shared]![j]![d]!, 0),
				);
			}),
		);
		x = plus(x, project("o", attended));
		const hidden = x.map((row) => normalise(row, part("mlpNorm")[0]!, spec.rmsNormEps));
		const gate = project("gate", hidden);
		const up = project("up", hidden);
		x = plus(x, project("down", gate.map((row, i) => row.map((g, j) => (g * up[i]![j]!) / (1 + Math.exp(-g))))));
	}
	const head = loaded.get("head") ?? matrix("embed");
	return x.map((row) => {
		const normed = normalise(row, matrix("finalNorm")[0]!, spec.rmsNormEps);
		return head.map((weights) => inner(weights, normed));
	});
}

/** Rows of a head stored as pairs (0, half), (1, half + 1), ... back to halves. */
function deinterleave(rows: Matrix, heads: number): Matrix {
	const size = rows.length / heads;
	return Array.from({ length: heads }, (_, h) => {
		const head = rows.slice(h * size, (h + 1) * size);
		return [...head.filter((_, i) => i % 2 === 0), ...head.filter((_, i) => i % 2 === 1)];
	}).flat();
}

/** Angle per position of each pair, with Llama 3's scaling in terms of wavelengths. */
function angles({ headDim, ropeTheta, ropeScaling }: ModelWeights["spec"]): Row {
	return Array.from({ length: headDim / 2 }, (_, i) => {
		const angle = ropeTheta ** ((-2 * i) / headDim);
		if (!ropeScaling) return angle;
		if ("divisors" in ropeScaling) return angle / ropeScaling.divisors[i]!;
		const { factor, lowFreqFactor: low, highFreqFactor: high, originalContextLength } = ropeScaling;
		const turns = (originalContextLength * angle) / (2 * Math.PI);
		const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
		return angle * (kept + (1 - kept) / factor);
	});
}

/** (a + ib) e^(i angle position) for the pairs a = x[i], b = x[i + half]. */
function rotate(x: Row, position: number, byPair: Row): Row {
	const half = x.length / 2;
	return x.map((value, at) => {
		const angle = byPair[at % half]! * position;
		const other = x[(at + half) % x.length]!;
		return value * Math.cos(angle) + (at < half ? -other : other) * Math.sin(angle);
	});
}

function normalise(x: Row, weight: Row, eps: number): Row {
	const rms = Math.sqrt(inner(x, x) / x.length + eps);
	return x.map((value, i) => (value / rms) * weight[i]!);
}

function inner(a: Row, b: Row): number {
	return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function plus(a: Matrix, b: Matrix): Matrix {
	return a.map((row, i) => row.map((value, j) => value + b[i]![j]!));
}
