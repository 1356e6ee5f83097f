// SPDX-License-Identifier: Apache-2.0
import type { SamplerParams } from "../backend/forward-backend.js";

/** The best token each time, by the logits as they are. */
export const GREEDY: SamplerParams = {
	temperature: 0,
	topK: 0,
	topP: 1,
	minP: 0,
	presencePenalty: 0,
	frequencyPenalty: 0,
	repetitionPenalty: 1,
	seedLow: 0,
	seedHigh: 0,
	biasIds: new Uint32Array(0),
	biasValues: new Float32Array(0),
	endIds: new Uint32Array(0),
	minTokens: 0,
	logprobs: -1,
};
