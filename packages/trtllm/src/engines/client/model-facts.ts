// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineInfo, RequestFeature } from "@dyn/engine";

/** What a server does not say of itself; TensorRT-LLM's defaults where there are some. */
export interface ModelFacts {
	/** Most tokens of prompt plus completion. */
	readonly contextLength?: number | undefined;
	readonly vocabSize?: number | undefined;
	/** Default: those that each request brings. */
	readonly eosTokenIds?: readonly number[] | undefined;
	/** Default 32. */
	readonly kvBlockSize?: number | undefined;
	/** Default 0: not known. */
	readonly totalKvBlocks?: number | undefined;
	/** Default 2048. */
	readonly maxNumSeqs?: number | undefined;
	/** Default 8192. */
	readonly maxNumBatchedTokens?: number | undefined;
}

export interface KnownModel {
	readonly model: string;
	readonly description: string;
	readonly features: readonly RequestFeature[];
	readonly logprobs: boolean;
}

/** @throws DynError INVALID_ARGUMENT naming the fact that nobody knows */
export function engineInfoOf(known: KnownModel, facts: ModelFacts): EngineInfo {
	const required = (name: "contextLength" | "vocabSize"): number => {
		const value = facts[name];
		if (value !== undefined && value > 0) return value;
		throw new DynError(
			"INVALID_ARGUMENT",
			`the server does not say ${name} of ${known.model}; give it as an option`,
			{
				details: { param: name },
			},
		);
	};
	return {
		model: known.model,
		contextLength: required("contextLength"),
		vocabSize: required("vocabSize"),
		eosTokenIds: facts.eosTokenIds ?? [],
		kvBlockSize: facts.kvBlockSize ?? 32,
		totalKvBlocks: facts.totalKvBlocks ?? 0,
		maxNumSeqs: facts.maxNumSeqs ?? 2048,
		maxNumBatchedTokens: facts.maxNumBatchedTokens ?? 8192,
		dpSize: 1,
		description: known.description,
		capabilities: { logprobs: known.logprobs, maxChoices: 128, kvEvents: false, features: known.features },
	};
}

/**
 * What can be said in a protocol, less what the server must have been started for and was not.
 * @param configured what it was started for
 * @throws DynError INVALID_ARGUMENT for a feature that the protocol cannot carry
 */
export function featuresOf(
	protocol: string,
	{ always, configurable }: Readonly<Record<"always" | "configurable", readonly RequestFeature[]>>,
	configured: readonly RequestFeature[],
): readonly RequestFeature[] {
	const wrong = configured.find((name) => !configurable.includes(name) && !always.includes(name));
	if (wrong !== undefined)
		throw new DynError(
			"INVALID_ARGUMENT",
			`${wrong} cannot be asked for over ${protocol}; leave it out of features, or use another protocol`,
			{ details: { param: "features" } },
		);
	return [...new Set([...always, ...configured])];
}
