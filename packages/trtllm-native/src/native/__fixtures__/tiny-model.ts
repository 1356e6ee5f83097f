// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TensorType } from "@dyn/models";
import type { ModelSpec, ModelWeights, TensorSource } from "../../model/model-spec.js";
import { expectedTensors } from "../../model/tensor-names.js";

/** Compiles the native engine if its sources changed; tests never run an old binary and never skip. */
export function buildNative(): void {
	const script = fileURLToPath(new URL("../../../scripts/build-native.mjs", import.meta.url));
	execFileSync(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit"] });
}

/** Uniform in [0, 1), the same for a seed on every machine: SplitMix32. */
export function seededRandom(seed: number): () => number {
	let state = seed | 0;
	return () => {
		state = (state + 0x9e3779b9) | 0;
		let z = state ^ (state >>> 16);
		z = Math.imul(z, 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
	};
}

/** Grouped queries, a vocabulary that fills no panel of 16, and sizes that divide into no row tile. */
const BASE: ModelSpec = {
	architecture: "llama",
	numLayers: 2,
	hiddenSize: 64,
	numHeads: 6,
	numKvHeads: 2,
	headDim: 32,
	intermediateSize: 160,
	vocabSize: 203,
	contextLength: 2048,
	rmsNormEps: 1e-5,
	ropeTheta: 10_000,
	ropeScaling: null,
	tiedHead: true,
	qkvBias: false,
	qkNorm: false,
	eosTokenIds: [0],
	bosTokenId: null,
};

export const FAMILIES: Readonly<Record<"llama" | "qwen2" | "qwen3", ModelSpec>> = {
	llama: {
		...BASE,
		ropeScaling: { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 64 },
	},
	qwen2: { ...BASE, architecture: "qwen2", qkvBias: true, headDim: 16, tiedHead: false },
	qwen3: { ...BASE, architecture: "qwen3", qkNorm: true, headDim: 48 },
};

/** Columns that every storage type divides: super-blocks of K-quants hold 256 values. */
export const WIDE: ModelSpec = {
	...BASE,
	hiddenSize: 256,
	numHeads: 4,
	headDim: 64,
	intermediateSize: 512,
};

/** Sizes that fill neither a panel nor a vector. */
export const UNEVEN: ModelSpec = { ...BASE, hiddenSize: 74, numHeads: 3, numKvHeads: 1, headDim: 16, intermediateSize: 90 };

/** Values and bytes of a block, and its f16 fields: byte offset and value for weights within about +-1. */
const BLOCKS: Readonly<Record<TensorType, { values: number; bytes: number; halves: [number, number][] }>> = {
	F32: { values: 1, bytes: 4, halves: [] },
	F16: { values: 1, bytes: 2, halves: [] },
	BF16: { values: 1, bytes: 2, halves: [] },
	Q4_0: { values: 32, bytes: 18, halves: [[0, 1 / 8]] },
	Q4_1: { values: 32, bytes: 20, halves: [[0, 1 / 7.5], [2, -1]] },
	Q5_0: { values: 32, bytes: 22, halves: [[0, 1 / 16]] },
	Q5_1: { values: 32, bytes: 24, halves: [[0, 1 / 15.5], [2, -1]] },
	Q8_0: { values: 32, bytes: 34, halves: [[0, 1 / 127]] },
	Q4_K: { values: 256, bytes: 144, halves: [[0, 1 / 464], [2, 1 / 62]] },
	Q5_K: { values: 256, bytes: 176, halves: [[0, 1 / 960], [2, 1 / 62]] },
	Q6_K: { values: 256, bytes: 210, halves: [[208, 1 / 2048]] },
};

export interface TinyModel {
	readonly weights: ModelWeights;
	readonly file: string;
	/** Deletes the file. */
	dispose(): void;
}

/** A decoder with seeded random weights in one raw file: matrices stored as `type`, vectors as f32. */
export function tinyModel(spec: ModelSpec, type: TensorType = "F32", seed = 1): TinyModel {
	const random = seededRandom(seed);
	const folder = mkdtempSync(join(tmpdir(), "dyn-tiny-"));
	const file = join(folder, "weights.bin");
	const parts: Uint8Array[] = [];
	const tensors: TensorSource[] = [];
	let offset = 0;
	for (const { name, rows, cols } of expectedTensors(spec)) {
		const vector = rows === 1;
		const centre = name.endsWith("Norm") ? 1 : 0;
		const bytes = vector
			? new Uint8Array(Float32Array.from({ length: cols }, () => centre + (random() - 0.5) / 2).buffer)
			: randomMatrix(type, rows * cols, Math.sqrt(3 / cols), random);
		// GGUF's llama files interleave the rows of q and k; pretend that half of these do.
		const heads = name.endsWith(".q") ? spec.numHeads : name.endsWith(".k") ? spec.numKvHeads : 0;
		tensors.push({
			name,
			file,
			offset,
			byteLength: bytes.length,
			type: vector ? "F32" : type,
			rows,
			cols,
			permutedHeads: spec.architecture === "llama" ? heads : 0,
		});
		parts.push(bytes);
		offset += bytes.length;
	}
	writeFileSync(file, Buffer.concat(parts));
	return { weights: { spec, tensors }, file, dispose: () => rmSync(folder, { recursive: true }) };
}

/** `count` weights within about +-scale, as a checkpoint stores them: random codes, plausible scales. */
function randomMatrix(type: TensorType, count: number, scale: number, random: () => number): Uint8Array {
	if (type === "F32") {
		return new Uint8Array(Float32Array.from({ length: count }, () => scale * (2 * random() - 1)).buffer);
	}
	const { values, bytes, halves } = BLOCKS[type];
	const out = new Uint8Array((count / values) * bytes);
	const view = new DataView(out.buffer);
	for (let at = 0; at < out.length; at += bytes) {
		if (type === "F16") view.setUint16(at, halfBits(scale * (2 * random() - 1)), true);
		else if (type === "BF16") view.setUint16(at, bf16Bits(scale * (2 * random() - 1)), true);
		else {
			for (let i = 0; i < bytes; i++) out[at + i] = random() * 256;
			for (const [field, value] of halves)
				view.setUint16(at + field, halfBits(value * scale * (0.5 + random())), true);
		}
	}
	return out;
}

const bits = new DataView(new ArrayBuffer(4));

function bf16Bits(value: number): number {
	bits.setFloat32(0, value);
	return bits.getUint16(0);
}

/** f16 of a small value, mantissa cut off; below 2^-14 it becomes 0. */
function halfBits(value: number): number {
	bits.setFloat32(0, value);
	const single = bits.getUint32(0);
	const exponent = ((single >>> 23) & 0xff) - 127 + 15;
	return exponent <= 0 ? 0 : ((single >>> 16) & 0x8000) | (exponent << 10) | ((single >>> 13) & 0x3ff);
}
