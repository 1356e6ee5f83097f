// SPDX-License-Identifier: Apache-2.0

/** Where an engine is known to differ from the contract, so that clients must allow for it. */
export interface KnownDeviation {
	/** Of the case. */
	readonly rule: string;
	/** What the case says of this deviation, and of no other failure. */
	readonly message: RegExp;
	readonly why: string;
}

/** By the name that the engine gives itself. */
export const KNOWN_DEVIATIONS: Readonly<Record<string, readonly KnownDeviation[]>> = {
	// TensorRT-LLM's grpc/openengine servicer (its pull request 17992) and README.
	tensorrt_llm: [
		{
			rule: "model info: names, context and input of the model",
			message: /max_context_length is not set/,
			why: "says how long its context is only when started with --max_seq_len",
		},
		{
			rule: "abort: refuses no target, does not find an unknown one",
			message: /"status":2.*expected status NOT_FOUND/,
			why: "answers ALREADY_FINISHED for an id that it never had",
		},
		{
			rule: "refuses an unknown model",
			message: /it was answered; expected status NOT_FOUND/,
			why: "answers to every name",
		},
		{
			rule: "refuses malformed and repeated metadata",
			message: /UNIMPLEMENTED .*openengine-target-dp-rank/,
			why: "refuses every target rank, without a look at it",
		},
	],
};
