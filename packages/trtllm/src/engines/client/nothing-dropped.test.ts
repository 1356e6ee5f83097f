// SPDX-License-Identifier: Apache-2.0
import { checkFeatures, type EngineInfo, type RequestFeature } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequest, type GenerateRequestInit } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { toCompletionRequest } from "../http/completion-request.js";
import { HTTP_FEATURES } from "../http/http-engine.js";
import { toSmgRequest } from "../smg/request-message.js";
import { SMG_FEATURES } from "../smg/smg-engine.js";
import { termsOf } from "./request-terms.js";

const info = { contextLength: 100, vocabSize: 8, eosTokenIds: [2] } as unknown as EngineInfo;
const session = {
	sessionId: "1",
	transferBackend: "trtllm",
	endpoints: [],
	dpRank: 0,
	attributes: { opaque_state: "AA==", first_gen_tokens: [5] },
};

type Sample = Omit<GenerateRequestInit, "tokenIds">;
/** A value for every field of a request, by group; none is the field's default. */
const SAMPLES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
	sampling: {
		n: 2,
		temperature: 0.5,
		topP: 0.5,
		topK: 5,
		minP: 0.5,
		presencePenalty: 1,
		frequencyPenalty: 1,
		repetitionPenalty: 1.5,
		seed: 3,
		logitBias: new Map([[1, 1]]),
		badWords: [[4]],
		bestOf: 2,
		beamWidth: 2,
		lengthPenalty: 2,
	},
	stop: {
		maxTokens: 5,
		minTokens: 2,
		stopTokenIds: [5],
		visibleStopTokenIds: [5],
		ignoreEos: true,
		stopStrings: ["x"],
	},
	output: { logprobs: 0, promptLogprobs: 0 },
	routing: {
		priority: 1,
		dpRank: 0,
		cacheSalt: "s",
		bypassPrefixCache: true,
		conversationId: "c",
		bypassRemotePrefill: true,
	},
	"": {
		tokenIds: [5],
		model: "other",
		resumedTokens: 1,
		eosTokenIds: [6],
		logitsProcessors: [{ name: "p", args: null }],
		guided: { kind: "regex", pattern: "a" },
		lora: "l",
		media: [{ modality: "image", source: { bytes: Uint8Array.of(0xff, 0xd8, 0xff) } }],
		disaggregation: { role: "decode", session },
		healthCheck: true,
	},
};

/** Fields that a server need not hear of, and who sees to them. */
const NOT_SENT: Readonly<Record<string, string>> = {
	stopStrings: "whoever turns tokens into text ends the request",
	bypassRemotePrefill: "the handler of a decode worker",
	resumedTokens: "engines that do not know it take them for prompt",
	model: "the server is asked for the model that it serves",
	healthCheck: "a canary is a request like any other, except in a queue by priority",
};

const protocols: readonly [
	name: string,
	features: typeof SMG_FEATURES,
	body: (request: GenerateRequest) => unknown,
][] = [
	[
		"SMG",
		SMG_FEATURES,
		(request) =>
			toSmgRequest(request, {
				requestId: "r",
				terms: termsOf(request, info),
				vocabSize: 8,
				loraTaskIds: new Map([["l", 1n]]),
			}),
	],
	[
		"HTTP",
		HTTP_FEATURES,
		(request) =>
			toCompletionRequest(request, {
				model: "m",
				terms: termsOf(request, info),
				loras: new Map([["l", { id: 1, path: "p" }]]),
				hasPriority: true,
			}),
	],
];

describe.each(protocols)(
	"over %s no field is dropped in silence",
	(_name, { always, configurable }, body) => {
		const features: readonly RequestFeature[] = [...always, ...configurable];
		const bare = body(createGenerateRequest({ tokenIds: [3, 4] }));

		it.each(
			Object.entries(SAMPLES).flatMap(([group, fields]) =>
				Object.entries(fields).map(([name, value]) => [group, name, value] as const),
			),
		)("%s.%s", (group, name, value) => {
			const init = (group === "" ? { [name]: value } : { [group]: { [name]: value } }) as Sample;
			const request = createGenerateRequest({ tokenIds: [3, 4], ...init });
			try {
				checkFeatures(request, features);
			} catch (error) {
				expect(String(error)).toContain("[UNIMPLEMENTED]");
				return;
			}
			if (name in NOT_SENT) return;
			expect(body(request)).not.toEqual(bare);
		});
	},
);

it("samples every field that there is", () => {
	const request = createGenerateRequest({ tokenIds: [1] }) as unknown as Record<string, unknown>;
	const groups = Object.keys(SAMPLES).filter((group) => group !== "");
	for (const group of groups)
		expect(Object.keys(SAMPLES[group]!).sort()).toEqual(Object.keys(request[group] as object).sort());
	expect([...Object.keys(SAMPLES[""]!), ...groups].sort()).toEqual(Object.keys(request).sort());
});
