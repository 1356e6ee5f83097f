// SPDX-License-Identifier: Apache-2.0
import {
	anything,
	fields,
	flag,
	integer,
	type JsonSchema,
	list,
	type NamedSchema,
	named,
	number,
	orNull,
	text,
	u16,
	u32,
	u64,
} from "./json-schema.js";

/** Dynamo has it, nobody here does: refused rather than dropped. */
const absent: JsonSchema = { type: "null" };
const kvSession = fields(
	{
		session_id: text,
		transfer_backend: text,
		endpoints: list(fields({ host: text, port: u16, protocol: text }, ["host", "port", "protocol"])),
		dp_rank: u32,
		attributes: {
			type: "object",
			description: "The engine's own. No integer beyond 2^53 unless as a string.",
		},
		exact_attributes: {
			...list({ type: "object" }),
			description: "The attributes again, when there is null in them: the first wins.",
		},
	},
	["session_id", "transfer_backend", "endpoints", "dp_rank", "attributes"],
);
const media = list({ anyOf: [fields({ Url: text }, ["Url"]), fields({ RawUrl: text }, ["RawUrl"])] });
const stopConditions = fields({
	max_tokens: number(),
	min_tokens: number(),
	stop: list(text),
	stop_token_ids: list(u32),
	stop_token_ids_hidden: list(u32),
	stop_token_ids_visible: list(u32),
	ignore_eos: flag,
	max_thinking_tokens: absent,
});
const samplingOptions = fields({
	n: number(),
	best_of: number(),
	presence_penalty: number(),
	frequency_penalty: number(),
	repetition_penalty: number(),
	temperature: number(),
	top_p: number(),
	top_k: number("-1 and 0: all"),
	min_p: number(),
	use_beam_search: flag,
	length_penalty: number(),
	seed: { type: "integer" },
	bad_words_token_ids: list(list(u32)),
	guided_decoding: fields({
		json: anything,
		json_object: flag,
		regex: text,
		grammar: text,
		structural_tag: anything,
		choice: list(text),
	}),
});
/** What Dynamo has no field for. */
const ownExtras = fields({
	logit_bias: list({ type: "array", prefixItems: [u32, number()], minItems: 2, maxItems: 2 }),
	logits_processors: list(fields({ name: text, args: anything }, ["name"])),
	beam_width: number(),
	bypass_prefix_cache: flag,
	resumed_tokens: number("how many of the last token_ids an instance that failed had generated"),
});

const request: Readonly<Record<string, JsonSchema>> = {
	model: text,
	token_ids: list(u32),
	prompt_embeds: absent,
	eos_token_ids: list(u32),
	stop_conditions: stopConditions,
	sampling_options: samplingOptions,
	output_options: fields({ logprobs: number(), prompt_logprobs: number() }),
	annotations: list(text),
	routing: fields({ dp_rank: number(), cache_salt: text, priority: number(), lora_name: text }),
	prefill_result: fields({ disaggregated_params: kvSession }),
	multi_modal_data: {
		...fields({ image_url: media, video_url: media, audio_url: media }),
		additionalProperties: { type: "null" },
	},
	agent_context: fields({ session_id: text }),
	extra_args: fields({ dyn: ownExtras }),
};

const logprob = fields({ token_id: number(), logprob: number() }, ["token_id", "logprob"]);
const usage = fields({
	prompt_tokens: number(),
	completion_tokens: number(),
	total_tokens: number(),
	prompt_tokens_details: fields({ cached_tokens: number() }),
});

/** What crosses process boundaries, by name. Documents that match are read by the codecs in `@dyn/protocols/dynamo`. */
export const WIRE_SCHEMAS: readonly NamedSchema[] = [
	named("preprocessed-request", 1, "A request to a generate endpoint", fields(request, ["token_ids"])),
	named(
		"llm-engine-output",
		1,
		"One item of the answer of a generate endpoint",
		fields(
			{
				token_ids: list(u32),
				index: number("choice"),
				log_probs: list(number()),
				top_logprobs: list(orNull(list(logprob))),
				finish_reason: {
					anyOf: [
						{ enum: ["eos", "stop", "length", "cancelled", "abort", "content_filter"] },
						fields({ error: text }, ["error"]),
					],
				},
				stop_reason: { type: ["integer", "string"] },
				completion_usage: usage,
				disaggregated_params: kvSession,
				engine_data: fields({
					prompt_logprobs: list(
						orNull(
							fields({ token_id: number(), logprob: number(), top_logprobs: list(logprob) }, [
								"token_id",
								"logprob",
							]),
						),
					),
				}),
			},
			["token_ids"],
		),
	),
	named("health-check-payload", 1, "The request of a canary", {
		...fields(request, ["token_ids"]),
		required: ["token_ids", "_HEALTH_CHECK"],
	}),
	named(
		"kv-event",
		1,
		"A change of a worker's KV cache; topic kv-events carries lists of these",
		fields(
			{
				worker_id: u64,
				storage_tier: { enum: ["device", "host_pinned", "disk", "external"] },
				residency_domain: { enum: ["worker", "cache_owner"] },
				event: fields(
					{
						event_id: u64,
						dp_rank: u32,
						data: {
							anyOf: [
								{ const: "cleared" },
								fields(
									{
										stored: fields(
											{
												parent_hash: u64,
												start_position: integer(0, 0xffff_ffff),
												blocks: list(
													fields({ block_hash: u64, tokens_hash: u64 }, ["block_hash", "tokens_hash"]),
												),
											},
											["blocks"],
										),
									},
									["stored"],
								),
								fields({ removed: fields({ block_hashes: list(u64) }, ["block_hashes"]) }, ["removed"]),
							],
						},
					},
					["event_id", "data"],
				),
			},
			["worker_id", "event"],
		),
	),
];
