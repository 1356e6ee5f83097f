// SPDX-License-Identifier: Apache-2.0

/** One field of Dynamo's `PreprocessedRequest`, and what becomes of it. */
export interface RequestRow {
	readonly field: string;
	/** Default "agg". */
	readonly mode?: "agg" | "prefill" | "decode";
	/** Merged into a request of three tokens. */
	readonly request: Readonly<Record<string, unknown>>;
	/** What Dynamo's trtllm sidecar on OpenEngine does (lib/sidecar/trtllm). */
	readonly sidecar: string;
	/** What ours does, for people. */
	readonly ours: string;
	/** What the engine is sent, or why it is sent nothing. */
	readonly sent?: Readonly<Record<string, unknown>>;
	readonly refused?: { readonly code: "INVALID_ARGUMENT" | "UNIMPLEMENTED"; readonly message: string };
}

const REFUSED = "refused";
const stop = (value: object) => ({ stop_conditions: value });
const sampling = (value: object) => ({ sampling_options: value });
const guided = (value: object) => sampling({ guided_decoding: value });
const output = (value: object) => ({ output_options: value });
const routing = (value: object) => ({ routing: value });
const unimplemented = (message: string) => ({ refused: { code: "UNIMPLEMENTED", message } }) as const;
const invalid = (message: string) => ({ refused: { code: "INVALID_ARGUMENT", message } }) as const;
const ids = (...stopTokenIds: number[]) => stopTokenIds.map((stopTokenId) => ({ stopTokenId }));

/** Context of the engine that the rows are run against. */
export const CONTEXT_LENGTH = 2048;

export const SESSION = {
	session_id: "77",
	transfer_backend: "NIXL",
	endpoints: [{ host: "10.0.0.7", port: 5600, protocol: "tcp" }],
	dp_rank: 0,
	attributes: { opaque_state: "AAEC" },
};

export const REQUEST_ROWS: readonly RequestRow[] = [
	{
		field: "`token_ids`",
		request: { token_ids: [1, 2, 3] },
		sidecar: "sent",
		ours: "sent",
		sent: { tokenIds: { ids: [1, 2, 3] }, sampling: { numSequences: 1 }, extra: { detokenize: false } },
	},
	{
		field: "`token_ids: []`",
		request: { token_ids: [] },
		sidecar: REFUSED,
		ours: REFUSED,
		...invalid("token_ids is empty"),
	},
	{
		field: "`stop_conditions.max_tokens`",
		request: stop({ max_tokens: 7 }),
		sidecar: "sent",
		ours: "sent",
		sent: { stopping: { maxTokens: 7 } },
	},
	{
		field: "no `max_tokens`",
		request: {},
		sidecar: "context − prompt, at least 1",
		ours: "the same",
		sent: { stopping: { maxTokens: CONTEXT_LENGTH - 3 } },
	},
	{
		field: "a prefill",
		mode: "prefill",
		request: stop({ max_tokens: 7, min_tokens: 5 }),
		sidecar: "`max_tokens` 1, no `min_tokens`, `extra.request_type: context_only`",
		ours: "the same",
		sent: {
			stopping: { maxTokens: 1, minTokens: undefined },
			extra: { request_type: "context_only", detokenize: false },
		},
	},
	{
		field: "`stop_conditions.min_tokens`",
		request: stop({ min_tokens: 5 }),
		sidecar: "sent",
		ours: "sent",
		sent: { stopping: { minTokens: 5 } },
	},
	{
		field: "`stop_conditions.ignore_eos`",
		request: stop({ ignore_eos: true }),
		sidecar: "sent",
		ours: "sent",
		sent: { stopping: { ignoreEos: true } },
	},
	{
		field: "`stop_conditions.stop_token_ids_hidden`",
		request: stop({ stop_token_ids_hidden: [9, 3, 9], stop_token_ids: [5] }),
		sidecar: "sorted, each once",
		ours: "the same",
		sent: { stopping: { conditions: ids(3, 5, 9), includeStopInOutput: undefined } },
	},
	{
		field: "`stop_conditions.stop_token_ids_visible`",
		request: stop({ stop_token_ids_visible: [5] }),
		sidecar: REFUSED,
		ours: "sent with `include_stop_in_output`",
		sent: { stopping: { conditions: ids(5), includeStopInOutput: true } },
	},
	{
		field: "visible and hidden stop ids",
		request: stop({ stop_token_ids_visible: [5], stop_token_ids_hidden: [3] }),
		sidecar: REFUSED,
		ours: "all sent with `include_stop_in_output`; a hidden one is cut off the answer",
		sent: { stopping: { conditions: ids(3, 5), includeStopInOutput: true } },
	},
	{
		field: "more than 64 stop ids",
		request: stop({ stop_token_ids_hidden: Array.from({ length: 65 }, (_, id) => id) }),
		sidecar: "the engine refuses them",
		ours: REFUSED,
		...invalid("65 stop ids"),
	},
	{
		field: "`stop_conditions.stop`",
		request: stop({ stop: ["\n"] }),
		sidecar: "sent",
		ours: "not sent: the frontend, which has the text, ends the request there",
		sent: { stopping: { conditions: [] } },
	},
	{
		field: "`temperature`, `top_p`, `min_p`, penalties, `seed`",
		request: sampling({
			temperature: 0.5,
			top_p: 0.25,
			min_p: 0.125,
			frequency_penalty: 1,
			presence_penalty: -1,
			repetition_penalty: 1.5,
			seed: 7,
		}),
		sidecar: "sent",
		ours: "sent",
		sent: {
			sampling: {
				temperature: 0.5,
				topP: 0.25,
				minP: 0.125,
				frequencyPenalty: 1,
				presencePenalty: -1,
				repetitionPenalty: 1.5,
				seed: 7n,
			},
		},
	},
	{
		field: "`temperature: 0`",
		request: sampling({ temperature: 0 }),
		sidecar: "sent",
		ours: "sent",
		sent: { sampling: { temperature: 0 } },
	},
	{
		field: "`seed` below 0",
		request: sampling({ seed: -1 }),
		sidecar: REFUSED,
		ours: REFUSED,
		...invalid("seed -1"),
	},
	{
		field: "`top_k`",
		request: sampling({ top_k: 5 }),
		sidecar: "sent",
		ours: "sent",
		sent: { sampling: { topK: 5 } },
	},
	...[0, -1].map(
		(top_k): RequestRow => ({
			field: `\`top_k: ${top_k}\``,
			request: sampling({ top_k }),
			sidecar: "left out",
			ours: "left out",
			sent: { sampling: { topK: undefined } },
		}),
	),
	{
		field: "`top_k` below −1",
		request: sampling({ top_k: -2 }),
		sidecar: REFUSED,
		ours: REFUSED,
		...invalid("top_k is -2"),
	},
	{
		field: "`n`",
		request: sampling({ n: 2, temperature: 1 }),
		sidecar: REFUSED,
		ours: "sent",
		sent: { sampling: { numSequences: 2 } },
	},
	{
		field: "`n` at temperature 0",
		request: sampling({ n: 2, temperature: 0 }),
		sidecar: REFUSED,
		ours: "refused, unless the engine runs with `TLLM_ALLOW_N_GREEDY_DECODING=1`",
		...unimplemented("TLLM_ALLOW_N_GREEDY_DECODING=1"),
	},
	{
		field: "`best_of` other than `n`",
		request: sampling({ best_of: 3 }),
		sidecar: REFUSED,
		ours: REFUSED,
		...unimplemented("best_of"),
	},
	{
		field: "`use_beam_search`",
		request: sampling({ use_beam_search: true, n: 2 }),
		sidecar: REFUSED,
		ours: REFUSED,
		...unimplemented("beam_search"),
	},
	{
		field: "`length_penalty`",
		request: sampling({ length_penalty: 2 }),
		sidecar: "–",
		ours: REFUSED,
		...unimplemented("length_penalty"),
	},
	{
		field: "`bad_words_token_ids`",
		request: sampling({ bad_words_token_ids: [[5], [6, 7]] }),
		sidecar: "–",
		ours: "refused: OpenEngine has no field for it",
		...unimplemented("bad_words"),
	},
	{
		field: "`output_options.logprobs: 0`",
		request: output({ logprobs: 0 }),
		sidecar: "`top_n` 1; the alternatives are dropped",
		ours: "the same",
		sent: { response: { returnOutputLogprobs: true, outputCandidates: { topN: 1 } } },
	},
	{
		field: "`output_options.logprobs`",
		request: output({ logprobs: 5 }),
		sidecar: "sent",
		ours: "sent",
		sent: { response: { returnOutputLogprobs: true, outputCandidates: { topN: 5 } } },
	},
	{
		field: "`output_options.prompt_logprobs`",
		request: output({ prompt_logprobs: 2 }),
		sidecar: REFUSED,
		ours: "sent",
		sent: { response: { returnPromptLogprobs: true, promptCandidates: { topN: 2 } } },
	},
	{
		field: "`guided_decoding.json`",
		request: guided({ json: { type: "object" } }),
		sidecar: "sent",
		ours: "sent",
		sent: { guided: { jsonSchema: '{"type":"object"}' } },
	},
	{
		field: "`guided_decoding.json_object`",
		request: guided({ json_object: true }),
		sidecar: "–",
		ours: "sent",
		sent: { guided: { jsonObject: {} } },
	},
	{
		field: "`guided_decoding.regex`",
		request: guided({ regex: "a+" }),
		sidecar: "sent",
		ours: "sent",
		sent: { guided: { regex: "a+" } },
	},
	{
		field: "`guided_decoding.grammar`",
		request: guided({ grammar: 'root ::= "a"' }),
		sidecar: "sent",
		ours: "sent",
		sent: { guided: { ebnfGrammar: 'root ::= "a"' } },
	},
	{
		field: "`guided_decoding.structural_tag`",
		request: guided({ structural_tag: "{}" }),
		sidecar: "sent",
		ours: "sent; refused with `llguidance`, which has none",
		sent: { guided: { structuralTag: "{}" } },
	},
	{
		field: "`guided_decoding.choice`",
		request: guided({ choice: ["a.b", "c|d"] }),
		sidecar: REFUSED,
		ours: "sent as a regular expression",
		sent: { guided: { regex: "(a\\.b|c\\|d)" } },
	},
	{
		field: "`guided_decoding.choice: []`",
		request: guided({ choice: [] }),
		sidecar: REFUSED,
		ours: REFUSED,
		...invalid("choice is empty"),
	},
	{
		field: "`guided_decoding.backend`, `whitespace_pattern`",
		request: guided({ regex: "a", backend: "xgrammar" }),
		sidecar: REFUSED,
		ours: REFUSED,
		...invalid("backend cannot be chosen"),
	},
	{
		field: "a guide for an answer that another worker began",
		request: { ...guided({ regex: "a" }), extra_args: { dyn: { resumed_tokens: 1 } } },
		sidecar: "–",
		ours: "refused: the engine would begin its grammar anew",
		...unimplemented("guided answer"),
	},
	{
		field: "`routing.cache_salt`",
		request: routing({ cache_salt: "tenant" }),
		sidecar: REFUSED,
		ours: "sent",
		sent: { kv: { cacheSalt: "tenant" } },
	},
	{
		field: "`agent_context.session_id`",
		request: { agent_context: { session_id: "talk" } },
		sidecar: "–",
		ours: "sent as `extra.conversation_id`",
		sent: { extra: { conversation_id: "talk", detokenize: false } },
	},
	{
		field: "`routing.priority` other than 0",
		request: routing({ priority: 1 }),
		sidecar: REFUSED,
		ours: "refused, unless GetModelInfo says `supports_priority`",
		...unimplemented("priority"),
	},
	{
		field: "`routing.dp_rank`",
		request: routing({ dp_rank: 1 }),
		sidecar: REFUSED,
		ours: "refused, unless the server says `trtllm_supports_dp_rank_targeting`; rank 0 of one rank asks for nothing",
		...unimplemented("dp_rank"),
	},
	{
		field: "`routing.lora_name`",
		request: routing({ lora_name: "l" }),
		sidecar: REFUSED,
		ours: "refused, unless GetModelInfo says `supports_lora`",
		...unimplemented("lora"),
	},
	{
		field: "`multi_modal_data`",
		request: { multi_modal_data: { image_url: [{ Url: "https://example.com/a.png" }] } },
		sidecar: REFUSED,
		ours: "refused, unless GetModelInfo says `supports_multimodal`",
		...unimplemented("image"),
	},
	{
		field: "`extra_args.dyn.logit_bias` (ours)",
		request: { extra_args: { dyn: { logit_bias: [[1, 2]] } } },
		sidecar: "–",
		ours: "refused: OpenEngine has no field for it",
		...unimplemented("logit_bias"),
	},
	{
		field: "`extra_args.dyn.logits_processors` (ours)",
		request: { extra_args: { dyn: { logits_processors: [{ name: "p" }] } } },
		sidecar: "–",
		ours: "refused: logits do not leave the engine",
		...unimplemented("logits_processors"),
	},
	{
		field: "`extra_args.dyn.bypass_prefix_cache` (ours)",
		request: { extra_args: { dyn: { bypass_prefix_cache: true } } },
		sidecar: "–",
		ours: "refused, unless GetModelInfo says `supports_prefix_cache_bypass`",
		...unimplemented("bypass_prefix_cache"),
	},
	{
		field: "`prefill_result` on a decode worker",
		mode: "decode",
		request: { prefill_result: { disaggregated_params: SESSION } },
		sidecar: "sent as `kv.session`",
		ours: "the same",
		sent: {
			kv: {
				session: {
					sessionId: "77",
					transferBackend: "NIXL",
					endpoints: [{ host: "10.0.0.7", port: 5600, protocol: "tcp" }],
					dpRank: 0,
					attributesStruct: { opaque_state: "AAEC" },
				},
			},
			extra: { detokenize: false },
		},
	},
	{
		field: "no `prefill_result` on a decode worker",
		mode: "decode",
		request: {},
		sidecar: REFUSED,
		ours: "refused, unless annotated `x-bypass-remote-prefill`",
		...invalid("needs the result of a prefill"),
	},
	{
		field: "`x-bypass-remote-prefill` on a decode worker",
		mode: "decode",
		request: { annotations: ["x-bypass-remote-prefill"] },
		sidecar: "–",
		ours: "the engine does both parts",
		sent: { kv: undefined, extra: { detokenize: false } },
	},
	{
		field: "`prefill_result` on any other worker",
		request: { prefill_result: { disaggregated_params: SESSION } },
		sidecar: REFUSED,
		ours: REFUSED,
		...unimplemented("decode"),
	},
	{
		field: "`prefill_result` without a field of the handoff",
		mode: "decode",
		request: { prefill_result: { disaggregated_params: { ...SESSION, dp_rank: undefined } } },
		sidecar: REFUSED,
		ours: REFUSED,
		...invalid("dp_rank"),
	},
];
