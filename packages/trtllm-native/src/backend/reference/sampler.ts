// SPDX-License-Identifier: Apache-2.0
import { argmax, logSumExp, topK } from "@dyn/logits";
import type { SampledToken, SamplerParams } from "../forward-backend.js";
import { uniformAt } from "./rng.js";

const NO_IDS = new Uint32Array(0);

/** Log-probability of `tokenId` and of the `top` most likely tokens, without those that cannot be. */
export function scoreToken(slot: number, logits: Float32Array, tokenId: number, top: number): SampledToken {
	const normaliser = logSumExp(logits);
	const topIds = (top > 0 ? topK(logits, top) : NO_IDS).filter((id) => logits[id]! > -Infinity);
	return {
		slot,
		tokenId,
		logprob: logits[tokenId]! - normaliser,
		topIds,
		topLogprobs: Float64Array.from(topIds, (id) => logits[id]! - normaliser),
	};
}

/** Chooses tokens for one sequence: the plain statement of what native/src/sampler.cpp does fast. */
export class ReferenceSampler {
	readonly #params: SamplerParams;
	readonly #seen: Set<number>;
	/** Prompt and output. */
	readonly #tokens: number[];
	readonly #outputCounts = new Map<number, number>();
	#generated: number;

	constructor(params: SamplerParams, context: Uint32Array, generated: number) {
		this.#params = params;
		this.#generated = generated;
		this.#seen = new Set(context);
		this.#tokens = [...context];
		for (const id of context.subarray(context.length - generated)) this.#count(id);
	}

	/** Edits `logits`, chooses a token and records it as generated; null, and nothing recorded, when mask and bad words leave none. */
	sample(slot: number, logits: Float32Array, mask?: Uint32Array): SampledToken | null {
		this.#adjust(logits);
		if (mask) applyMask(logits, mask);
		if (logits[argmax(logits)] === -Infinity) return null;
		const tokenId = this.#choose(logits);
		const { logprobs } = this.#params;
		this.#generated++;
		this.#seen.add(tokenId);
		this.#tokens.push(tokenId);
		this.#count(tokenId);
		if (logprobs >= 0) return scoreToken(slot, logits, tokenId, logprobs);
		return { slot, tokenId, logprob: Number.NaN, topIds: NO_IDS, topLogprobs: new Float64Array(0) };
	}

	#count(id: number): void {
		this.#outputCounts.set(id, (this.#outputCounts.get(id) ?? 0) + 1);
	}

	#adjust(logits: Float32Array): void {
		const {
			repetitionPenalty,
			presencePenalty,
			frequencyPenalty,
			biasIds,
			biasValues,
			endIds,
			minTokens,
			badWords = [],
		} = this.#params;
		if (repetitionPenalty !== 1) {
			for (const id of this.#seen)
				logits[id] = logits[id]! > 0 ? logits[id]! / repetitionPenalty : logits[id]! * repetitionPenalty;
		}
		if (presencePenalty !== 0 || frequencyPenalty !== 0) {
			for (const [id, count] of this.#outputCounts)
				logits[id]! -= Math.fround(presencePenalty + Math.fround(frequencyPenalty * count));
		}
		for (const [i, id] of biasIds.entries()) logits[id]! += biasValues[i]!;
		if (this.#generated < minTokens) for (const id of endIds) logits[id] = -Infinity;
		for (const word of badWords) {
			const before = word.subarray(0, -1);
			const end = this.#tokens.slice(this.#tokens.length - before.length);
			if (before.every((id, i) => end[i] === id)) logits[word.at(-1)!] = -Infinity;
		}
	}

	/** Temperature, then top-k, top-p and min-p over what is left, then one draw from the renormalised rest. */
	#choose(logits: Float32Array): number {
		const best = argmax(logits);
		const { temperature, seedLow, seedHigh } = this.#params;
		if (temperature <= 0) return best;
		const weight = (id: number) => Math.exp((logits[id]! - logits[best]!) * (1 / Math.fround(temperature)));
		const uniform = uniformAt((BigInt(seedHigh) << 32n) | BigInt(seedLow), this.#generated);
		const candidates = this.#candidates(logits, weight);
		let left = uniform * candidates.reduce((sum, id) => sum + weight(id), 0);
		for (const id of candidates) {
			left -= weight(id);
			if (left < 0) return id;
		}
		return best;
	}

	/** Ids in order when nothing is cut off, else most likely first. */
	#candidates(logits: Float32Array, weight: (id: number) => number): number[] {
		const { topK: k, topP, minP } = this.#params;
		const byK = k > 0 && k < logits.length;
		if (!byK && topP >= 1 && minP <= 0) return Array.from(logits, (_, id) => id);
		let kept = [...topK(logits, byK ? k : logits.length)];
		if (topP < 1) {
			const limit = Math.fround(topP) * kept.reduce((sum, id) => sum + weight(id), 0);
			let sum = 0;
			const last = kept.findIndex((id) => {
				sum += weight(id);
				return sum >= limit;
			});
			kept = kept.slice(0, last === -1 ? kept.length : last + 1);
		}
		if (minP > 0) kept = kept.filter((id) => weight(id) >= Math.fround(minP));
		return kept;
	}
}

function applyMask(logits: Float32Array, mask: Uint32Array): void {
	for (const id of logits.keys()) if (!((mask[id >>> 5]! >>> (id & 31)) & 1)) logits[id] = -Infinity;
}
