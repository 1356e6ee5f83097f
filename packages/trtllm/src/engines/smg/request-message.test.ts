// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequestInit } from "@dyn/protocols";
import { SmgGenerateRequest } from "@dyn/protocols/smg";
import { describe, expect, it } from "vitest";
import { termsOf } from "../client/request-terms.js";
import { toSmgRequest } from "./request-message.js";

const info = { contextLength: 100, vocabSize: 8, eosTokenIds: [2] } as unknown as EngineInfo;
const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 1);

/** As the server would read it. */
function sent(init: Omit<GenerateRequestInit, "tokenIds">) {
	const request = createGenerateRequest({ tokenIds: [3, 4], ...init });
	const message = toSmgRequest(request, {
		requestId: "r",
		terms: termsOf(request, info),
		vocabSize: 8,
		loraTaskIds: new Map([["adapter", 2n ** 60n]]),
	});
	return SmgGenerateRequest.decode(SmgGenerateRequest.encode(message));
}

const samplingRows: readonly [
	name: string,
	sampling: NonNullable<GenerateRequestInit["sampling"]>,
	expected: object,
][] = [
	[
		"defaults, so that all absent does not mean greedy",
		{},
		{ temperature: 1, topP: 1, topK: 0, beamWidth: 1, numReturnSequences: 1 },
	],
	["n", { n: 3 }, { numReturnSequences: 3 }],
	["temperature 0", { temperature: 0 }, { temperature: 0 }],
	["top_p", { topP: 0.5 }, { topP: 0.5 }],
	["top_k", { topK: 7 }, { topK: 7 }],
	["top_k -1, which is all", { topK: -1 }, { topK: 0 }],
	["min_p", { minP: 0.25 }, { minP: 0.25 }],
	["presence_penalty", { presencePenalty: -0.5 }, { presencePenalty: -0.5 }],
	["frequency_penalty", { frequencyPenalty: 0.5 }, { frequencyPenalty: 0.5 }],
	["repetition_penalty", { repetitionPenalty: 1.5 }, { repetitionPenalty: 1.5 }],
	["seed", { seed: 0 }, { seed: 0n }],
	["negative seed", { seed: -1 }, { seed: 2n ** 64n - 1n }],
	["beam width", { beamWidth: 4, n: 2 }, { beamWidth: 4, numReturnSequences: 2 }],
	["length_penalty", { lengthPenalty: 2 }, { lengthPenalty: 2 }],
];
const rows: readonly [name: string, init: Omit<GenerateRequestInit, "tokenIds">, expected: object][] = [
	["prompt and id", {}, { requestId: "r", tokenized: { inputTokenIds: [3, 4] }, streaming: true }],
	["max_tokens, the rest of the context by default", {}, { maxTokens: 98 }],
	["max_tokens", { stop: { maxTokens: 5 } }, { maxTokens: 5 }],
	["min_tokens", { stop: { minTokens: 5 } }, { samplingConfig: { minTokens: 5 } }],
	[
		"stop ids, with the model's ends",
		{ stop: { stopTokenIds: [5] } },
		{ stopTokenIds: [5, 2], includeStopTokenInOutput: false },
	],
	[
		"visible stop ids",
		{ stop: { visibleStopTokenIds: [6] } },
		{ stopTokenIds: [6, 2], includeStopTokenInOutput: true },
	],
	["ignore_eos", { stop: { ignoreEos: true } }, { stopTokenIds: [], ignoreEos: true }],
	["ends that the request names", { eosTokenIds: [7] }, { stopTokenIds: [2, 7] }],
	["no stop strings: the caller ends there", { stop: { stopStrings: ["a"] } }, { stop: [] }],
	["logprobs", { output: { logprobs: 5 } }, { outputConfig: { logprobs: 5, excludeInputFromOutput: true } }],
	["logprobs 0, which would be none", { output: { logprobs: 0 } }, { outputConfig: { logprobs: 1 } }],
	[
		"prompt_logprobs, in one piece",
		{ output: { promptLogprobs: 2 } },
		{ outputConfig: { promptLogprobs: 2 }, streaming: false },
	],
	["beams, in one piece", { sampling: { beamWidth: 2 } }, { streaming: false }],
	["bad words of one token", { sampling: { badWords: [[1], [7]] } }, { badTokenIds: [1, 7] }],
	[
		"logit_bias",
		{
			sampling: {
				logitBias: new Map([
					[1, -100],
					[7, 2],
				]),
			},
		},
		{ embeddingBias: [0, -100, 0, 0, 0, 0, 0, 2] },
	],
	[
		"json_schema",
		{ guided: { kind: "json_schema", schema: "{}" } },
		{ guidedDecoding: { guideType: 2, guide: "{}" } },
	],
	["json_object", { guided: { kind: "json_object" } }, { guidedDecoding: { guideType: 1, guide: "" } }],
	["regex", { guided: { kind: "regex", pattern: "a+" } }, { guidedDecoding: { guideType: 3, guide: "a+" } }],
	[
		"grammar",
		{ guided: { kind: "grammar", ebnf: "root" } },
		{ guidedDecoding: { guideType: 4, guide: "root" } },
	],
	[
		"structural_tag",
		{ guided: { kind: "structural_tag", tag: "{}" } },
		{ guidedDecoding: { guideType: 5, guide: "{}" } },
	],
	[
		"choice, as a pattern",
		{ guided: { kind: "choice", choices: ["a.b", "c|d"] } },
		{ guidedDecoding: { guideType: 3, guide: "(a\\.b|c\\|d)" } },
	],
	["lora", { lora: "adapter" }, { loraConfig: { taskId: 2n ** 60n } }],
	[
		"image bytes",
		{ media: [{ modality: "image", source: { bytes: PNG } }] },
		{ multimodalInput: { imageData: [PNG] } },
	],
	[
		"image in a data URL",
		{
			media: [
				{
					modality: "image",
					source: { dataUri: `data:image/png;base64,${Buffer.from(PNG).toString("base64")}` },
				},
			],
		},
		{ multimodalInput: { imageData: [PNG] } },
	],
];

describe("a request over SMG", () => {
	it.each(samplingRows)("sampling: %s", (_name, sampling, expected) => {
		expect(sent({ sampling }).samplingConfig).toMatchObject(expected);
	});

	it.each(rows)("%s", (_name, init, expected) => {
		expect(sent(init)).toMatchObject(expected);
	});

	it("leaves out what was not asked for", () => {
		const message = sent({});
		for (const name of [
			"guidedDecoding",
			"loraConfig",
			"multimodalInput",
			"cacheSaltId",
			"disaggregatedParams",
		] as const)
			expect(message[name]).toBeUndefined();
		expect(message.outputConfig).toEqual({
			returnContextLogits: false,
			returnGenerationLogits: false,
			excludeInputFromOutput: true,
			returnEncoderOutput: false,
			returnPerfMetrics: false,
		});
		expect(message.embeddingBias).toEqual([]);
	});

	const refused: readonly [init: Omit<GenerateRequestInit, "tokenIds">, code: string, name: string][] = [
		[{ media: [{ modality: "image", source: { url: "https://x/y" } }] }, "UNIMPLEMENTED", "image 1 is a URL"],
		[
			{ media: [{ modality: "image", source: { bytes: Uint8Array.of(71, 73, 70) } }] },
			"INVALID_ARGUMENT",
			"neither a JPEG nor a PNG",
		],
		[
			{ media: [{ modality: "image", source: { dataUri: "data:image/png,abc" } }] },
			"INVALID_ARGUMENT",
			"base64",
		],
		[{ lora: "other" }, "NOT_FOUND", '"other"'],
		[{ sampling: { logitBias: new Map([[8, 1]]) } }, "INVALID_ARGUMENT", "logit_bias"],
		[{ sampling: { badWords: [[8]] } }, "INVALID_ARGUMENT", "bad_words"],
		[{ sampling: { badWords: [[1], [2, 3]] } }, "UNIMPLEMENTED", "a word of 2 tokens"],
		[{ sampling: { temperature: 2.5 } }, "INVALID_ARGUMENT", "temperature"],
		[{ sampling: { topP: 0 } }, "INVALID_ARGUMENT", "top_p"],
		[{ sampling: { n: 0 } }, "INVALID_ARGUMENT", "n is 0"],
		[{ sampling: { seed: 0.5 } }, "INVALID_ARGUMENT", "seed"],
		[{ stop: { minTokens: -1 } }, "INVALID_ARGUMENT", "min_tokens"],
		[{ stop: { stopTokenIds: [8] } }, "INVALID_ARGUMENT", "stop_token_ids"],
		[{ output: { logprobs: 21 } }, "INVALID_ARGUMENT", "logprobs"],
		[{ stop: { maxTokens: 99 } }, "CONTEXT_LENGTH_EXCEEDED", "at most 98"],
	];
	it.each(refused)("refuses %j with %s", (init, code, name) => {
		let error: unknown;
		try {
			sent(init);
		} catch (thrown) {
			error = thrown;
		}
		expect(DynError.is(error) && error.code).toBe(code);
		expect(String(error)).toContain(name);
	});
});
