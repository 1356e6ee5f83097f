// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { type EngineInfo, REQUEST_FEATURES, type RequestFeature } from "@dyn/engine";
import * as m from "../generated/messages.js";
import type { OpenEngineDialect } from "./dialect.js";

export interface EngineInfoParts {
	readonly server: m.ServerInfo;
	readonly model: m.ModelInfo;
	/** What the operator says of the engine; wins. */
	readonly role?: "aggregated" | "prefill" | "decode" | undefined;
	readonly contextLength?: number | undefined;
	readonly vocabSize?: number | undefined;
	readonly eosTokenIds?: readonly number[] | undefined;
	readonly dialect: OpenEngineDialect;
	readonly kvEvents: boolean;
}

/** What the contract has no word for. */
const INEXPRESSIBLE: readonly RequestFeature[] = [
	"logit_bias",
	"bad_words",
	"best_of",
	"beam_search",
	"length_penalty",
	"logits_processors",
];

/** @throws DynError INVALID_ARGUMENT when nobody says how long the context is */
export function engineInfoOf(parts: EngineInfoParts): EngineInfo {
	const { server, model, dialect } = parts;
	const { capacity } = server;
	const contextLength = parts.contextLength ?? model.maxContextLength;
	if (contextLength === undefined)
		throw new DynError(
			"INVALID_ARGUMENT",
			`${server.engineName} does not say how long the context of ${model.servedModelName} is; start it with its length (TensorRT-LLM: --max_seq_len), or say contextLength here`,
			{ details: { param: "contextLength" } },
		);
	return {
		model: model.servedModelName || model.modelId,
		contextLength,
		// Ids are u32: the engine itself refuses those that it does not have.
		vocabSize: parts.vocabSize ?? numberOf(model.extra?.["vocab_size"]) ?? 2 ** 32,
		eosTokenIds: parts.eosTokenIds ?? numbersOf(model.extra?.["eos_token_ids"]),
		kvBlockSize: capacity?.kvBlockSize ?? 32,
		totalKvBlocks: Number(capacity?.totalKvBlocks ?? 0n),
		maxNumSeqs: Number(capacity?.maxRunningRequests ?? 0n),
		maxNumBatchedTokens: Number(capacity?.maxBatchedTokens ?? 0n),
		dpSize: Math.max(1, server.parallelism?.dataParallelSize ?? 1),
		description: `OpenEngine, ${[server.engineName, server.engineVersion].filter(Boolean).join(" ")}`,
		capabilities: {
			logprobs: model.generation?.outputLogprobs?.supported ?? false,
			maxChoices: dialect.maxChoices ?? model.generation?.maxNumSequences ?? 1,
			kvEvents: parts.kvEvents,
			features: features(parts),
		},
	};
}

const GUIDED: Readonly<Record<m.GuidedDecodingMode, RequestFeature | null>> = {
	[m.GuidedDecodingMode.UNSPECIFIED]: null,
	[m.GuidedDecodingMode.JSON_SCHEMA]: "guided_json_schema",
	[m.GuidedDecodingMode.REGEX]: "guided_regex",
	[m.GuidedDecodingMode.EBNF_GRAMMAR]: "guided_grammar",
	[m.GuidedDecodingMode.STRUCTURAL_TAG]: "guided_structural_tag",
	[m.GuidedDecodingMode.CHOICE]: "guided_choice",
	[m.GuidedDecodingMode.JSON_OBJECT]: "guided_json_object",
};

/** What is not said to be there is not. */
function features({ server, model, role, dialect }: EngineInfoParts): readonly RequestFeature[] {
	const { generation } = model;
	const said: readonly (readonly [RequestFeature, boolean | undefined])[] = [
		["prompt_logprobs", generation?.promptLogprobs?.supported],
		["priority", generation?.supportsPriority],
		["cache_salt", generation?.supportsCacheSalt],
		["bypass_prefix_cache", generation?.supportsPrefixCacheBypass],
		["visible_stop_token_ids", generation?.supportsStopInOutput],
		["lora", model.supportsLora],
		["image", model.supportsMultimodal],
		["video", model.supportsMultimodal],
		["audio", model.supportsMultimodal],
	];
	const guided = generation?.guidedDecoding?.supported ? generation.guidedDecoding.modes : [];
	const ours = server.extra?.["dyn_features"];
	const all = new Set<unknown>([
		...said.filter(([, is]) => is).map(([feature]) => feature),
		...guided.map((mode) => GUIDED[mode]),
		...rolesOf(server, role),
		...(Array.isArray(ours) ? ours : []),
		...(dialect.addFeatures ?? []),
	]);
	return REQUEST_FEATURES.filter(
		(name) => all.has(name) && !INEXPRESSIBLE.includes(name) && !dialect.removeFeatures?.includes(name),
	);
}

/** An engine that is given no role does any part, if it can hand over at all. */
function rolesOf(
	{ engineRole, kvConnector }: m.ServerInfo,
	role: EngineInfoParts["role"],
): readonly RequestFeature[] {
	if (role === "prefill" || role === "decode") return [role];
	if (role === undefined && engineRole === m.EngineRole.PREFILL) return ["prefill"];
	if (role === undefined && engineRole === m.EngineRole.DECODE) return ["decode"];
	return kvConnector?.enabled ? ["prefill", "decode"] : [];
}

const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const numbersOf = (value: unknown): readonly number[] =>
	Array.isArray(value) ? value.filter((each) => typeof each === "number") : [];
