// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { LogitsProcessorRequest } from "../generate-request.js";
import type { GuidedDecoding } from "../guided-decoding.js";
import { readBadWords } from "./bad-words-fields.js";
import { readGuidedDecoding } from "./guided-fields.js";
import type { ObjectReader } from "./object-reader.js";

/** What chat and completion requests share, checked. null: absent. Ranges and texts as in Dynamo's frontend. */
export interface CommonFields {
	readonly model: string;
	readonly maxTokens: number | null;
	readonly temperature: number | null;
	readonly topP: number | null;
	readonly topK: number | null;
	readonly minP: number | null;
	readonly n: number;
	readonly stop: readonly string[];
	readonly stopTokenIds: readonly number[];
	readonly seed: number | null;
	readonly presencePenalty: number | null;
	readonly frequencyPenalty: number | null;
	readonly repetitionPenalty: number | null;
	readonly logitBias: ReadonlyMap<number, number> | null;
	/** Texts, or sequences of token ids, that must not be in the answer. */
	readonly badWords: readonly (string | readonly number[])[];
	readonly minTokens: number | null;
	readonly ignoreEos: boolean;
	readonly skipSpecialTokens: boolean;
	readonly includeStopString: boolean;
	readonly stream: boolean;
	readonly includeUsage: boolean;
	readonly continuousUsage: boolean;
	readonly cacheSalt: string | null;
	readonly priority: number | null;
	readonly instanceId: bigint | null;
	/** What the answer must look like; null: anything. */
	readonly guided: GuidedDecoding | null;
	readonly logitsProcessors: readonly LogitsProcessorRequest[];
}

const MAX_TOKENS = 1_048_576;
const MAX_CHOICES = 128;
const MAX_STOPS = 32;

export function readCommonFields(reader: ObjectReader): CommonFields {
	const model = reader.string("model");
	if (model === null) throw invalidArgument("model", "model is missing: name one of GET /v1/models");
	if (model === "") throw invalidArgument("model", "Model cannot be empty");
	if (reader.string("user") === "") throw invalidArgument("user", "User ID cannot be empty");
	const between = (name: string, low: number, high: number) => (value: number) =>
		`${name} must be between ${low} and ${high}, got ${value}`;
	const tokens = (field: string) =>
		reader.integer(field, 1, MAX_TOKENS, (value) =>
			value < 1
				? `Max tokens must be greater than 0, got ${value}`
				: `${field} must be at most ${MAX_TOKENS}, got ${value}`,
		);
	const maxTokens = tokens("max_tokens");
	const maxCompletionTokens = tokens("max_completion_tokens");
	const temperature = reader.number("temperature", 0, 2, between("Temperature", 0, 2));
	const n = reader.integer("n", 1, MAX_CHOICES, between("n", 1, MAX_CHOICES)) ?? 1;
	if (n > 1 && temperature === 0) {
		throw invalidArgument(
			"n",
			`When n > 1, temperature must be greater than 0 to ensure diverse outputs. Got n=${n}, temperature=0`,
		);
	}
	const stream = reader.boolean("stream") ?? false;
	const streamOptions = readStreamOptions(reader, stream);
	const nvext = readNvext(reader);
	for (const field of REFUSED) reader.notServed(field);
	reader.notServed("service_tier", (value) => value === "auto" || value === "default");
	reader.notServed("store", (value) => value === false);
	reader.raw("metadata"); // kept by OpenAI, means nothing for the answer
	return {
		model,
		maxTokens: maxCompletionTokens ?? maxTokens,
		temperature: nvext.greedy ? 0 : temperature,
		topP: reader.number(
			"top_p",
			Number.MIN_VALUE,
			1,
			(value) => `Top_p must be between 0 and 1, got ${value}`,
		),
		topK: reader.integer(
			"top_k",
			-1,
			Number.MAX_SAFE_INTEGER,
			() => "Top_k must be null or greater than or equal to -1",
		),
		minP: reader.number("min_p", 0, 1, between("Min_p", 0, 1)),
		n,
		stop: readStop(reader),
		stopTokenIds: readTokenIds(reader, "stop_token_ids", MAX_STOPS),
		seed: reader.integer(
			"seed",
			Number.MIN_SAFE_INTEGER,
			Number.MAX_SAFE_INTEGER,
			() => "seed must be an integer of at most 53 bits",
		),
		presencePenalty: reader.number("presence_penalty", -2, 2, between("Presence penalty", -2, 2)),
		frequencyPenalty: reader.number("frequency_penalty", -2, 2, between("Frequency penalty", -2, 2)),
		repetitionPenalty: reader.number(
			"repetition_penalty",
			Number.MIN_VALUE,
			2,
			(value) => `Repetition penalty must be between 0 and 2, got ${value}`,
		),
		logitBias: readLogitBias(reader),
		badWords: readBadWords(reader),
		minTokens: reader.integer("min_tokens", 0, MAX_TOKENS, between("min_tokens", 0, MAX_TOKENS)),
		ignoreEos: reader.boolean("ignore_eos") ?? false,
		skipSpecialTokens: reader.boolean("skip_special_tokens") ?? true,
		includeStopString: reader.boolean("include_stop_str_in_output") ?? false,
		stream,
		...streamOptions,
		cacheSalt: reader.string("cache_salt") ?? nvext.cacheSalt,
		priority: nvext.priority,
		instanceId: nvext.instanceId,
		guided: readGuidedDecoding(reader),
		logitsProcessors: nvext.logitsProcessors,
	};
}

/** Known to Dynamo or OpenAI, not served yet: refused by name, never ignored. */
const REFUSED = [
	"guided_decoding_backend",
	"guided_whitespace_pattern",
	"prompt_logprobs",
	"detokenize",
	"allowed_token_ids",
	"logprob_token_ids",
	"return_tokens_as_token_ids",
	"mm_processor_kwargs",
	"media_io_kwargs",
	"thinking",
	"reasoning_effort",
	"prediction",
	"modalities",
	"audio",
	"web_search_options",
];

function readStreamOptions(
	reader: ObjectReader,
	stream: boolean,
): { includeUsage: boolean; continuousUsage: boolean } {
	const options = reader.object("stream_options");
	if (!options) return { includeUsage: false, continuousUsage: false };
	if (!stream) throw invalidArgument("stream_options", "stream_options can only be set when stream is true");
	const includeUsage = options.boolean("include_usage") ?? false;
	const continuousUsage = options.boolean("continuous_usage_stats") ?? false;
	options.notServed("include_obfuscation", (value) => value === false);
	options.finish();
	return { includeUsage: includeUsage || continuousUsage, continuousUsage };
}

function readStop(reader: ObjectReader): readonly string[] {
	const value = reader.raw("stop");
	const stops = value === null ? [] : typeof value === "string" ? [value] : value;
	if (!Array.isArray(stops) || !stops.every((stop) => typeof stop === "string"))
		throw reader.wrongType("stop", "a string or an array of strings", value);
	if (stops.length > MAX_STOPS)
		throw invalidArgument("stop", `Maximum of ${MAX_STOPS} stop sequences allowed, got ${stops.length}`);
	if (stops.some((stop) => stop === "")) throw invalidArgument("stop", "a stop sequence cannot be empty");
	return stops;
}

function readTokenIds(reader: ObjectReader, field: string, most: number): readonly number[] {
	const ids = reader.array(field) ?? [];
	if (!ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0))
		throw invalidArgument(reader.path(field), `${field} must be an array of token ids`);
	if (ids.length > most)
		throw invalidArgument(reader.path(field), `${field} may hold at most ${most} ids, got ${ids.length}`);
	return ids as number[];
}

function readLogitBias(reader: ObjectReader): ReadonlyMap<number, number> | null {
	const value = reader.raw("logit_bias");
	if (value === null) return null;
	if (typeof value !== "object" || Array.isArray(value))
		throw reader.wrongType("logit_bias", "an object of token ids and numbers", value);
	const bias = new Map<number, number>();
	for (const [key, amount] of Object.entries(value)) {
		const id = /^\d{1,9}$/.test(key) ? Number(key) : Number.NaN;
		if (Number.isNaN(id))
			throw invalidArgument(
				"logit_bias",
				`logit_bias has the key ${JSON.stringify(key.slice(0, 40))}, which is no token id`,
			);
		if (typeof amount !== "number" || !(amount >= -100 && amount <= 100)) {
			throw invalidArgument(
				"logit_bias",
				`Logit bias for token '${id}' must be between -100 and 100, got ${typeof amount === "number" ? amount : typeof amount}`,
			);
		}
		bias.set(id, amount);
	}
	return bias;
}

interface Nvext {
	readonly greedy: boolean;
	readonly cacheSalt: string | null;
	readonly priority: number | null;
	readonly instanceId: bigint | null;
	readonly logitsProcessors: readonly LogitsProcessorRequest[];
}

/** Dynamo's extension object; keys that nobody knows are refused by name. */
function readNvext(reader: ObjectReader): Nvext {
	const nvext = reader.object("nvext");
	if (!nvext)
		return { greedy: false, cacheSalt: null, priority: null, instanceId: null, logitsProcessors: [] };
	const hints = nvext.object("agent_hints");
	const priority =
		hints?.integer("priority", -(2 ** 31), 2 ** 31 - 1, () => "priority must be a 32-bit integer") ?? null;
	hints?.raw("osl"); // hints may be ignored
	hints?.raw("latency_sensitivity");
	hints?.raw("speculative_prefill");
	hints?.notServed("strict_priority");
	hints?.finish();
	const result = {
		greedy: nvext.boolean("greed_sampling") ?? false,
		cacheSalt: nvext.string("cache_salt"),
		priority,
		instanceId: readInstanceId(nvext),
		logitsProcessors: readLogitsProcessors(nvext),
	};
	nvext.notServed("annotations", isEmptyArray);
	nvext.notServed("extra_fields", isEmptyArray);
	for (const field of [
		"use_raw_prompt",
		"token_data",
		"max_thinking_tokens",
		"prefill_worker_id",
		"decode_worker_id",
		"dp_rank",
		"prefill_dp_rank",
		"request_timestamp_ms",
		"routing_constraints",
		"router",
		"metadata_upload",
	]) {
		nvext.notServed(field, (value) => value === false);
	}
	nvext.finish();
	return result;
}

/** A number, or a string of digits for ids that JSON numbers cannot hold exactly. */
function readInstanceId(nvext: ObjectReader): bigint | null {
	const value = nvext.raw("backend_instance_id");
	if (value === null) return null;
	const isExact = typeof value === "number" ? Number.isSafeInteger(value) && value > 0 : false;
	if (isExact || (typeof value === "string" && /^[1-9]\d{0,19}$/.test(value))) return BigInt(value as number);
	throw invalidArgument(
		nvext.path("backend_instance_id"),
		"backend_instance_id must be a positive integer, as a string of digits if it is above 2^53",
	);
}

function isEmptyArray(value: unknown): boolean {
	return Array.isArray(value) && value.length === 0;
}

function readLogitsProcessors(nvext: ObjectReader): readonly LogitsProcessorRequest[] {
	const list = nvext.array("logits_processors") ?? [];
	const path = nvext.path("logits_processors");
	if (list.length > 16)
		throw invalidArgument(path, `at most 16 logits processors can be chained, got ${list.length}`);
	return list.map((entry, index) => {
		const at = `${path}[${index}]`;
		if (
			typeof entry !== "object" ||
			entry === null ||
			typeof (entry as { name?: unknown }).name !== "string"
		) {
			throw invalidArgument(`${at}.name`, `${at} must be an object with the name of a logits processor`);
		}
		const { name, args } = entry as { name: string; args?: unknown };
		return { name, args: args ?? null };
	});
}
