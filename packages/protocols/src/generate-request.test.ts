// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createGenerateRequest } from "./generate-request.js";

describe("createGenerateRequest", () => {
	it("takes from a larger object only what belongs into each part", () => {
		const fields = { priority: 3, maxTokens: 5, model: "m" };
		const { stop, routing } = createGenerateRequest({ tokenIds: [1], stop: fields, routing: fields });
		expect(stop).toMatchObject({ maxTokens: 5 });
		expect(routing).toMatchObject({ priority: 3 });
		expect(Object.keys(stop)).not.toContain("model");
		expect(Object.keys(routing)).not.toContain("maxTokens");
	});

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
			badWords: [],
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
