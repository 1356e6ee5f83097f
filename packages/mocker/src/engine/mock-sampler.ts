// SPDX-License-Identifier: Apache-2.0
import type { SampledToken, SamplerParams } from "@dyn/trtllm-native/core";

/** Ids that a context makes likely; log-probabilities are reported for at most 20 of them. */
const CANDIDATES = 24;
/** Logit of the ids that it does not. */
const UNLIKELY = -30;

/** A hash of the tokens so far: equal contexts, equal tokens. */
export function extendContext(hash: number, token: number): number {
	return mix(hash, token);
}

export const EMPTY_CONTEXT = 1;

/**
 * "Logits" of a context: a few candidates with falling values, everything else far below.
 * @param excluded ids that are never candidates: a simulated answer ends by its length unless a request says otherwise
 */
export function candidates(
	context: number,
	vocabSize: number,
	excluded: ReadonlySet<number>,
): Map<number, number> {
	const values = new Map<number, number>();
	const count = Math.min(CANDIDATES, vocabSize - excluded.size);
	for (let k = 0; values.size < count; k++) {
		let id = (mix(context, k) >>> 0) % vocabSize;
		while (values.has(id) || excluded.has(id)) id = (id + 1) % vocabSize;
		values.set(id, -0.25 * values.size);
	}
	return values;
}

/** The row that logits processors see. */
export function toLogits(values: ReadonlyMap<number, number>, vocabSize: number): Float32Array {
	const row = new Float32Array(vocabSize).fill(UNLIKELY);
	for (const [id, value] of values) row[id] = value;
	return row;
}

/** Of a row that logits processors may have changed: every id that is not unlikely. */
export function fromLogits(row: Float32Array): Map<number, number> {
	const values = new Map<number, number>();
	for (const [id, value] of row.entries()) if (value > UNLIKELY) values.set(id, value);
	return values;
}

/**
 * Chooses a token: the best id when greedy, else one drawn by temperature with a number that only context and seed decide.
 * Bias, bad words and minimum length count; what else narrows a real sampler (top-k, top-p, min-p, penalties) does not.
 * @param generated tokens of the answer so far
 */
export function sampleMock(
	slot: number,
	logits: ReadonlyMap<number, number>,
	params: SamplerParams,
	{ context, tokens }: { readonly context: number; readonly tokens: readonly number[] },
	generated: number,
): SampledToken {
	const values = new Map(logits);
	for (const [k, id] of params.biasIds.entries())
		values.set(id, (values.get(id) ?? UNLIKELY) + params.biasValues[k]!);
	const never = new Set(generated < params.minTokens ? params.endIds : []);
	for (const word of params.badWords ?? []) {
		const end = tokens.slice(tokens.length - word.length + 1);
		if (end.every((id, i) => id === word[i])) never.add(word.at(-1)!);
	}
	for (const id of never) values.delete(id);
	// Whatever is forbidden, some token is not.
	for (let id = 0; values.size === 0; id++) if (!never.has(id)) values.set(id, UNLIKELY);
	const ranked = [...values].sort(([a, x], [b, y]) => y - x || a - b);
	const best = ranked[0]![1];
	const logSum = best + Math.log(ranked.reduce((sum, [, value]) => sum + Math.exp(value - best), 0));
	const [tokenId, value] = ranked[params.temperature === 0 ? 0 : draw(ranked, params, context)]!;
	const top = ranked.slice(0, Math.max(0, params.logprobs));
	return {
		slot,
		tokenId,
		logprob: params.logprobs < 0 ? Number.NaN : value - logSum,
		topIds: Uint32Array.from(top, ([id]) => id),
		topLogprobs: Float64Array.from(top, ([, each]) => each - logSum),
	};
}

/** Index into `ranked`. */
function draw(
	ranked: readonly (readonly [number, number])[],
	{ temperature, seedLow, seedHigh }: SamplerParams,
	context: number,
): number {
	const weights = ranked.map(([, value]) => Math.exp((value - ranked[0]![1]) / temperature));
	const uniform = (mix(mix(context, seedLow), seedHigh) >>> 0) / 2 ** 32;
	let rest = uniform * weights.reduce((sum, weight) => sum + weight, 0);
	for (const [index, weight] of weights.entries()) {
		rest -= weight;
		if (rest < 0) return index;
	}
	return ranked.length - 1;
}

/** 32 bits out of two times 32, well mixed. */
function mix(a: number, b: number): number {
	let x = Math.imul(a ^ Math.imul(b + 0x9e3779b9, 0x85ebca6b), 0xc2b2ae35);
	x = Math.imul(x ^ (x >>> 15), 0x27d4eb2f);
	return (x ^ (x >>> 13)) | 0;
}
