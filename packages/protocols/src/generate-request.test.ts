// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createGenerateRequest } from "./generate-request.js";

describe("createGenerateRequest", () => {
	it("fills every absent or undefined field with null or its empty value", () => {
		const request = createGenerateRequest({ tokenIds: [1], sampling: { temperature: 0, topP: undefined } });
		expect(request.sampling).toEqual({
			n: null,
			temperature: 0,
			topP: null,
			topK: null,
			minP: null,
			presencePenalty: null,
			frequencyPenalty: null,
			repetitionPenalty: null,
			seed: null,
			logitBias: null,
			bestOf: null,
			beamWidth: null,
			lengthPenalty: null,
		});
		expect(request.stop).toEqual({
			maxTokens: null,
			minTokens: null,
			stopTokenIds: [],
			visibleStopTokenIds: [],
			stopStrings: [],
			ignoreEos: false,
		});
		expect(request).toMatchObject({
			model: "",
			output: { logprobs: null, promptLogprobs: null },
			guided: null,
			lora: null,
			media: [],
			disaggregation: null,
			healthCheck: false,
			logitsProcessors: [],
		});
	});
});
