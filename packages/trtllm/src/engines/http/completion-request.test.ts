// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequestInit } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { termsOf } from "../client/request-terms.js";
import { toCompletionRequest, urgency } from "./completion-request.js";

const info = { contextLength: 100, vocabSize: 8, eosTokenIds: [2] } as unknown as EngineInfo;
const session = {
	sessionId: "18446744073709551615",
	transferBackend: "trtllm",
	endpoints: [],
	dpRank: 0,
	attributes: { opaque_state: "AA==", first_gen_tokens: [5], newer_field: { a: [1.5] } },
};

function body(init: Omit<GenerateRequestInit, "tokenIds">, hasPriority = true): unknown {
	const request = createGenerateRequest({ tokenIds: [3, 4], ...init });
	const loras = new Map([["adapter", { id: 7, path: "/adapters/7" }]]);
	return toCompletionRequest(request, { model: "m", terms: termsOf(request, info), loras, hasPriority });
}

/** All that is sent for a request that asks for nothing. */
const BARE = {
	model: "m",
	prompt: [3, 4],
	detokenize: false,
	stream: true,
	stream_options: { include_usage: true },
	max_tokens: 98,
	n: 1,
	temperature: 1,
	top_p: 1,
	top_k: 0,
	stop_token_ids: [2],
	include_stop_str_in_output: false,
	ignore_eos: false,
};

const rows: readonly [name: string, init: Omit<GenerateRequestInit, "tokenIds">, changes: object][] = [
	["nothing", {}, {}],
	["n", { sampling: { n: 3 } }, { n: 3 }],
	["best_of", { sampling: { n: 2, bestOf: 3 } }, { n: 2, best_of: 3 }],
	["temperature 0", { sampling: { temperature: 0 } }, { temperature: 0 }],
	["top_p", { sampling: { topP: 0.5 } }, { top_p: 0.5 }],
	["top_k", { sampling: { topK: 7 } }, { top_k: 7 }],
	["top_k -1, which is all", { sampling: { topK: -1 } }, { top_k: 0 }],
	["min_p", { sampling: { minP: 0.25 } }, { min_p: 0.25 }],
	["presence_penalty", { sampling: { presencePenalty: -1 } }, { presence_penalty: -1 }],
	["frequency_penalty", { sampling: { frequencyPenalty: 1 } }, { frequency_penalty: 1 }],
	["repetition_penalty", { sampling: { repetitionPenalty: 1.5 } }, { repetition_penalty: 1.5 }],
	["seed 0", { sampling: { seed: 0 } }, { seed: 0 }],
	["logit_bias", { sampling: { logitBias: new Map([[1, -100]]) } }, { logit_bias: { 1: -100 } }],
	["length_penalty", { sampling: { lengthPenalty: 2 } }, { length_penalty: 2 }],
	["max_tokens", { stop: { maxTokens: 5 } }, { max_tokens: 5 }],
	["min_tokens", { stop: { minTokens: 5 } }, { min_tokens: 5 }],
	["stop ids, with the model's ends", { stop: { stopTokenIds: [5] } }, { stop_token_ids: [5, 2] }],
	[
		"visible stop ids",
		{ stop: { visibleStopTokenIds: [6] } },
		{ stop_token_ids: [6, 2], include_stop_str_in_output: true },
	],
	["ignore_eos", { stop: { ignoreEos: true } }, { stop_token_ids: [], ignore_eos: true }],
	["ends that the request names", { eosTokenIds: [7] }, { stop_token_ids: [2, 7] }],
	["no stop strings: the caller ends there", { stop: { stopStrings: ["a"] } }, {}],
	["logprobs 0, which would be none", { output: { logprobs: 0 } }, { logprobs: 1 }],
	[
		"json_schema",
		{ guided: { kind: "json_schema", schema: '{"type":"array"}' } },
		{ response_format: { type: "json", schema: { type: "array" } } },
	],
	["json_object", { guided: { kind: "json_object" } }, { response_format: { type: "json_object" } }],
	[
		"regex",
		{ guided: { kind: "regex", pattern: "a+" } },
		{ response_format: { type: "regex", regex: "a+" } },
	],
	[
		"grammar",
		{ guided: { kind: "grammar", ebnf: "root" } },
		{ response_format: { type: "ebnf", ebnf: "root" } },
	],
	[
		"structural_tag",
		{ guided: { kind: "structural_tag", tag: '{"type":"structural_tag","format":{"type":"any_text"}}' } },
		{ response_format: { type: "structural_tag", format: { type: "any_text" } } },
	],
	[
		"choice, as a pattern",
		{ guided: { kind: "choice", choices: ["a.b", "c"] } },
		{ response_format: { type: "regex", regex: "(a\\.b|c)" } },
	],
	[
		"lora",
		{ lora: "adapter" },
		{ lora_request: { lora_name: "adapter", lora_int_id: 7, lora_path: "/adapters/7" } },
	],
	["priority", { routing: { priority: 2 ** 22 } }, { priority: 0.75 }],
	["a canary, which must not wait", { healthCheck: true, routing: { priority: 3 } }, { priority: 1 }],
	[
		"conversation_id",
		{ routing: { conversationId: "c" } },
		{ conversation_params: { conversation_id: "c" } },
	],
	[
		"decode",
		{ disaggregation: { role: "decode", session } },
		{
			disaggregated_params: {
				request_type: "generation_only",
				ctx_request_id: 2n ** 64n - 1n,
				encoded_opaque_state: "AA==",
				first_gen_tokens: [5],
				newer_field: { a: [1.5] },
			},
		},
	],
	[
		"decode of what an engine behind OpenEngine prefilled",
		{
			disaggregation: {
				role: "decode",
				session: {
					...session,
					sessionId: "",
					endpoints: [{ protocol: "tcp", host: "h", port: 5 }],
					attributes: { first_gen_tokens: [5], disagg_request_id: "9007199254740993", opaque_state: null },
				},
			},
		},
		{
			disaggregated_params: {
				request_type: "generation_only",
				ctx_info_endpoint: "tcp://h:5",
				first_gen_tokens: [5],
				disagg_request_id: 9_007_199_254_740_993n,
			},
		},
	],
];

describe("a request over HTTP", () => {
	it.each(rows)("%s", (_name, init, changes) => {
		expect(body(init)).toEqual({ ...BARE, ...changes });
	});

	it("takes beams and prefills in one piece", () => {
		const { stream_options: _, ...others } = BARE;
		expect(body({ sampling: { beamWidth: 4, n: 2 } })).toEqual({
			...others,
			stream: false,
			n: 2,
			use_beam_search: true,
			best_of: 4,
		});
		expect(body({ disaggregation: { role: "prefill" } })).toEqual({
			...others,
			stream: false,
			max_tokens: 1,
			disaggregated_params: { request_type: "context_only" },
		});
	});

	it("maps priorities into the middle half, and leaves them out where the queue knows none", () => {
		expect(body({ healthCheck: true, routing: { priority: 3 } }, false)).toEqual(BARE);
		expect([-Infinity, -(2 ** 22), -1, 0, 1, 2 ** 30].map(urgency)).toEqual([
			0.25,
			0.25,
			0.5 - 2 ** -24,
			0.5,
			0.5 + 2 ** -24,
			0.75,
		]);
	});

	const refused: readonly [init: Omit<GenerateRequestInit, "tokenIds">, code: string, name: string][] = [
		[
			{ disaggregation: { role: "decode", session: { ...session, sessionId: String(2n ** 64n) } } },
			"INVALID_ARGUMENT",
			"64 bits",
		],
		[{ output: { logprobs: 1 } }, "UNIMPLEMENTED", "logprobs above 0"],
		[{ lora: "other" }, "NOT_FOUND", '"other"'],
		[{ guided: { kind: "json_schema", schema: "{" } }, "INVALID_ARGUMENT", "guided_json_schema"],
		[{ guided: { kind: "structural_tag", tag: "[]" } }, "INVALID_ARGUMENT", "guided_structural_tag"],
		[
			{ disaggregation: { role: "decode", session: { ...session, sessionId: "x" } } },
			"INVALID_ARGUMENT",
			'"x"',
		],
		[
			{ disaggregation: { role: "decode", session: { ...session, attributes: { opaque_state: "AA==" } } } },
			"INVALID_ARGUMENT",
			"first_gen_tokens",
		],
		[
			{
				disaggregation: {
					role: "decode",
					session: { ...session, attributes: { ...session.attributes, disagg_request_id: 5 } },
				},
			},
			"INVALID_ARGUMENT",
			"disagg_request_id",
		],
	];
	it.each(refused)("refuses %j with %s", (init, code, name) => {
		let error: unknown;
		try {
			body(init);
		} catch (thrown) {
			error = thrown;
		}
		expect(DynError.is(error) && error.code).toBe(code);
		expect(String(error)).toContain(name);
	});
});
