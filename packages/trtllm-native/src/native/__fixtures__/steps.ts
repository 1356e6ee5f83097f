// SPDX-License-Identifier: Apache-2.0
import type { ForwardBackend, SamplerParams, StepSequence } from "../../backend/forward-backend.js";
import { GREEDY as greedy } from "../../sampling/greedy.js";
import { seededRandom } from "./tiny-model.js";

/** With a seed, for what is drawn with other parameters changed. */
export const GREEDY: SamplerParams = { ...greedy, seedLow: 1 };

export function randomTokens(count: number, vocabSize: number, seed: number): Uint32Array {
	const random = seededRandom(seed);
	return Uint32Array.from({ length: count }, () => random() * vocabSize);
}

/** `count` block ids from `first` on. */
export function blockRange(first: number, count: number): Uint32Array {
	return Uint32Array.from({ length: count }, (_, i) => first + i);
}

export function share(
	slot: number,
	tokens: Uint32Array,
	position: number,
	blocks: Uint32Array,
	output: StepSequence["output"] = "logits",
): StepSequence {
	return { slot, tokens, position, blocks, output };
}

/**
 * Logits after every `chunk` tokens of a sequence alone in its steps, from `position` on (what is before it is in the
 * blocks already): one row per step.
 */
export async function logitsInChunks(
	backend: ForwardBackend,
	tokens: Uint32Array,
	chunk: number,
	blocks: Uint32Array,
	position = 0,
): Promise<Float32Array[]> {
	const rows: Float32Array[] = [];
	for (let at = position; at < tokens.length; at += chunk) {
		await backend.step([share(0, tokens.subarray(at, at + chunk), at, blocks)]);
		rows.push(backend.logits(0).slice());
	}
	return rows;
}

/** Largest difference over the largest magnitude of `expected`. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
	let difference = 0;
	let magnitude = 0;
	for (const [i, value] of expected.entries()) {
		difference = Math.max(difference, Math.abs(actual[i]! - value));
		magnitude = Math.max(magnitude, Math.abs(value));
	}
	return actual.length === expected.length && !actual.includes(Number.NaN) ? difference / magnitude : Number.NaN;
}

export function cosine(a: Float32Array, b: Float32Array): number {
	let [ab, aa, bb] = [0, 0, 0];
	for (const [i, value] of a.entries()) {
		ab += value * b[i]!;
		aa += value * value;
		bb += b[i]! * b[i]!;
	}
	return ab / Math.sqrt(aa * bb);
}
