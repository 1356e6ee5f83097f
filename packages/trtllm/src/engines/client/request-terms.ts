// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import type { GenerateRequest, SamplingOptions } from "@dyn/protocols";

/** What follows from a request and the model together, and what both protocols need. */
export interface RequestTerms {
	readonly choices: number;
	/** Always sent: TensorRT-LLM's own default is 32. */
	readonly maxTokens: number;
	readonly eosTokenIds: ReadonlySet<number>;
	/** Those of the request. */
	readonly stopTokenIds: ReadonlySet<number>;
	/** Those of both sets above that are no part of the output. */
	readonly hiddenTokenIds: ReadonlySet<number>;
	readonly showsStopTokens: boolean;
}

/** Lowest and highest value, both allowed. */
const RANGES: readonly [param: string, of: keyof SamplingOptions, lowest: number, highest: number][] = [
	["n", "n", 1, 128],
	["temperature", "temperature", 0, 2],
	["top_p", "topP", Number.MIN_VALUE, 1],
	["top_k", "topK", -1, 2 ** 31 - 1],
	["min_p", "minP", 0, 1],
	["presence_penalty", "presencePenalty", -2, 2],
	["frequency_penalty", "frequencyPenalty", -2, 2],
	["repetition_penalty", "repetitionPenalty", Number.MIN_VALUE, 2],
	["seed", "seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
	["best_of", "bestOf", 1, 128],
	["beam_width", "beamWidth", 1, 128],
	["length_penalty", "lengthPenalty", -1e6, 1e6],
];
const INTEGERS: ReadonlySet<string> = new Set(["n", "top_k", "seed", "best_of", "beam_width"]);

/**
 * The server would refuse most of this too, but with a status that does not tell why.
 * @throws DynError INVALID_ARGUMENT naming the field; CONTEXT_LENGTH_EXCEEDED when prompt and completion cannot fit
 */
export function termsOf(
	request: GenerateRequest,
	{ contextLength, vocabSize, eosTokenIds }: EngineInfo,
): RequestTerms {
	const { tokenIds, sampling, stop, output } = request;
	if (tokenIds.length === 0) throw invalidArgument("prompt", "the prompt is empty; send at least one token");
	const within = (param: string, ids: Iterable<number>) => {
		for (const id of ids)
			if (!(Number.isInteger(id) && id >= 0 && id < vocabSize))
				throw invalidArgument(param, `${param} has the token id ${id}; ids go from 0 to ${vocabSize - 1}`);
	};
	within("prompt", tokenIds);
	within("stop_token_ids", [...stop.stopTokenIds, ...stop.visibleStopTokenIds]);
	within("logit_bias", sampling.logitBias?.keys() ?? []);
	within("bad_words", sampling.badWords.flat());
	for (const [param, name, lowest, highest] of RANGES)
		inRange(param, sampling[name] as number | null, lowest, highest, INTEGERS.has(param));
	inRange("logprobs", output.logprobs, 0, 20, true);
	inRange("prompt_logprobs", output.promptLogprobs, 0, 20, true);
	inRange("max_tokens", stop.maxTokens, 1, 2 ** 32 - 1, true);
	inRange("min_tokens", stop.minTokens, 0, 2 ** 32 - 1, true);
	const room = contextLength - tokenIds.length;
	if (room < 1 || (stop.maxTokens ?? 1) > room)
		throw new DynError(
			"CONTEXT_LENGTH_EXCEEDED",
			`the prompt has ${tokenIds.length} tokens, max_tokens is ${stop.maxTokens ?? "not given"} and the context holds ${contextLength}; ${room < 1 ? "shorten the prompt" : `ask for at most ${room} tokens`}`,
			{ details: { param: room < 1 ? "prompt" : "max_tokens" } },
		);
	const eos = new Set(stop.ignoreEos ? [] : [...eosTokenIds, ...request.eosTokenIds]);
	const visible = new Set(stop.visibleStopTokenIds);
	return {
		choices: sampling.n ?? 1,
		maxTokens: stop.maxTokens ?? room,
		eosTokenIds: eos,
		stopTokenIds: new Set([...stop.stopTokenIds, ...visible]),
		hiddenTokenIds: new Set([...eos, ...stop.stopTokenIds].filter((id) => !visible.has(id))),
		showsStopTokens: visible.size > 0,
	};
}

function inRange(
	param: string,
	value: number | null,
	lowest: number,
	highest: number,
	isInteger: boolean,
): void {
	if (value === null || (value >= lowest && value <= highest && (!isInteger || Number.isInteger(value))))
		return;
	const low = lowest === Number.MIN_VALUE ? "more than 0" : `at least ${lowest}`;
	throw invalidArgument(
		param,
		`${param} is ${value}; it must be ${low} and at most ${highest}${isInteger ? ", a whole number" : ""}`,
	);
}

/** Every id at which the engine must stop: a model may have more end-of-sequence ids than the one it was loaded with. */
export function stopIdsOf({ eosTokenIds, stopTokenIds }: RequestTerms): readonly number[] {
	return [...new Set([...stopTokenIds, ...eosTokenIds])];
}

/** A choice among texts, for engines that have no such constraint: an alternation of the escaped texts, as Dynamo does it. */
export function choicePattern(choices: readonly string[]): string {
	return `(${choices.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|")})`;
}
