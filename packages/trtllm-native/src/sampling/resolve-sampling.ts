// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { invalidArgument } from "@dyn/common";
import type { GenerateRequest } from "@dyn/protocols";
import type { SamplerParams } from "../backend/forward-backend.js";

export const MAX_CHOICES = 128;
export const MAX_LOGPROBS = 20;
/** Two for each of the words that a request may name. */
export const MAX_BAD_WORDS = 2048;

/** Parameters of choice `index` of a request; ranges as documented on SamplingOptions. */
export interface ResolvedSampling {
	/** Sequences to generate. */
	readonly choices: number;
	/** How many of them are answered, the best; null: all. */
	readonly bestOf: number | null;
	params(choice: number): SamplerParams;
}

/**
 * Applies defaults and checks every value.
 * @throws DynError INVALID_ARGUMENT naming the field.
 */
export function resolveSampling(
	request: GenerateRequest,
	vocabSize: number,
	endTokenIds: readonly number[],
): ResolvedSampling {
	const { sampling, stop, output } = request;
	const answered = integer("n", sampling.n ?? 1, 1, MAX_CHOICES);
	const choices = integer("best_of", sampling.bestOf ?? answered, answered, MAX_CHOICES);
	const ranked = choices > answered;
	const bias = [...(sampling.logitBias ?? [])];
	for (const [id, value] of bias) {
		integer("logit_bias", id, 0, vocabSize - 1);
		number("logit_bias", value, -100, 100);
	}
	const minTokens = integer("min_tokens", stop.minTokens ?? 0, 0, Number.MAX_SAFE_INTEGER);
	const resumed = integer("resumed_tokens", request.resumedTokens, 0, request.tokenIds.length);
	const topK = integer("top_k", sampling.topK ?? 0, -1, Number.MAX_SAFE_INTEGER);
	const seed =
		sampling.seed === null
			? randomBytes(8).readBigUInt64LE()
			: BigInt(integer("seed", sampling.seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
	const shared = {
		temperature: number("temperature", sampling.temperature ?? 1, 0, 2),
		topK: Math.min(Math.max(topK, 0), vocabSize),
		topP: number("top_p", sampling.topP ?? 1, Number.MIN_VALUE, 1),
		minP: number("min_p", sampling.minP ?? 0, 0, 1),
		presencePenalty: number("presence_penalty", sampling.presencePenalty ?? 0, -2, 2),
		frequencyPenalty: number("frequency_penalty", sampling.frequencyPenalty ?? 0, -2, 2),
		repetitionPenalty: number("repetition_penalty", sampling.repetitionPenalty ?? 1, Number.MIN_VALUE, 2),
		biasIds: Uint32Array.from(bias, ([id]) => id),
		biasValues: Float32Array.from(bias, ([, value]) => value),
		endIds: Uint32Array.from(endTokenIds.filter((id) => id < vocabSize)),
		badWords: badWordsOf(sampling.badWords, vocabSize, endTokenIds.length),
		minTokens: resumed + minTokens, // the sampler counts from the answer's beginning
		logprobs:
			output.logprobs === null ? (ranked ? 0 : -1) : integer("logprobs", output.logprobs, 0, MAX_LOGPROBS),
	};
	return {
		choices,
		bestOf: ranked ? answered : null,
		params(choice) {
			const own = BigInt.asUintN(64, seed + BigInt(choice));
			return { ...shared, seedLow: Number(own & 0xffff_ffffn), seedHigh: Number(own >> 32n) };
		},
	};
}

/** @param ends how many tokens besides may not be chosen */
function badWordsOf(
	words: readonly (readonly number[])[],
	vocabSize: number,
	ends: number,
): readonly Uint32Array[] {
	if (words.length > MAX_BAD_WORDS)
		throw invalidArgument(
			"bad_words",
			`bad_words has ${words.length} token sequences, but at most ${MAX_BAD_WORDS} are possible`,
		);
	for (const word of words) {
		if (word.length === 0) throw invalidArgument("bad_words", "bad_words has a word without tokens");
		for (const id of word) integer("bad_words", id, 0, vocabSize - 1);
	}
	if (new Set(words.map((word) => word.at(-1))).size + ends >= vocabSize)
		throw invalidArgument("bad_words", "bad_words leaves no token to choose; name fewer words");
	return words.map((word) => Uint32Array.from(word));
}

function number(field: string, value: number, low: number, high: number): number {
	if (typeof value === "number" && value >= low && value <= high) return value;
	throw invalidArgument(
		field,
		`${field} must be between ${low === Number.MIN_VALUE ? "0 (exclusive)" : low} and ${high}, got ${value}`,
	);
}

function integer(field: string, value: number, low: number, high: number): number {
	if (Number.isSafeInteger(value)) return number(field, value, low, high);
	throw invalidArgument(field, `${field} must be an integer, got ${value}`);
}
