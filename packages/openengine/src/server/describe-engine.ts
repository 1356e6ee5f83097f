// SPDX-License-Identifier: Apache-2.0
import type { EngineLoad, RequestFeature } from "@dyn/engine";
import * as m from "../generated/messages.js";
import type { MessageInit } from "../message-init.js";
import { MINIMUM_CLIENT_REVISION, SCHEMA_RELEASE, SCHEMA_REVISION } from "../revision.js";
import { type EngineServiceOptions, namesOf } from "./engine-service-options.js";

const ROLES = {
	aggregated: m.EngineRole.AGGREGATED,
	prefill: m.EngineRole.PREFILL,
	decode: m.EngineRole.DECODE,
} as const;

export function serverInfo(options: EngineServiceOptions, instanceId: string): MessageInit<m.ServerInfo> {
	const { info, role = "aggregated" } = options;
	const { features } = info.capabilities;
	return {
		engineName: options.engineName ?? "dyn",
		engineVersion: options.engineVersion ?? "",
		engineRole: ROLES[role],
		instanceId,
		supportedModels: namesOf(options),
		parallelism: { dataParallelSize: info.dpSize },
		kvConnector:
			features.includes("prefill") || features.includes("decode")
				? { enabled: true, supportsRemotePrefill: features.includes("decode"), supportsAbortCleanup: false }
				: undefined,
		schemaRevision: SCHEMA_REVISION,
		minimumClientRevision: MINIMUM_CLIENT_REVISION,
		schemaRelease: SCHEMA_RELEASE,
		capacity: {
			kvBlockSize: info.kvBlockSize,
			totalKvBlocks: BigInt(info.totalKvBlocks),
			maxRunningRequests: BigInt(info.maxNumSeqs),
			maxBatchedTokens: BigInt(info.maxNumBatchedTokens),
		},
		// The contract has no field for some of them; our client reads these.
		extra: { dyn_features: features },
	};
}

const GUIDED_MODES: readonly (readonly [RequestFeature, m.GuidedDecodingMode])[] = [
	["guided_json_schema", m.GuidedDecodingMode.JSON_SCHEMA],
	["guided_regex", m.GuidedDecodingMode.REGEX],
	["guided_grammar", m.GuidedDecodingMode.EBNF_GRAMMAR],
	["guided_structural_tag", m.GuidedDecodingMode.STRUCTURAL_TAG],
	["guided_choice", m.GuidedDecodingMode.CHOICE],
	["guided_json_object", m.GuidedDecodingMode.JSON_OBJECT],
];

const logprobs = (supported: boolean): MessageInit<m.LogprobCapabilities> => ({
	supported,
	candidateSelectionModes: supported ? [m.CandidateTokenSelectionMode.TOP_N] : [],
	maxTopN: supported ? 20 : undefined,
});

export function modelInfo(options: EngineServiceOptions): MessageInit<m.ModelInfo> {
	const { info } = options;
	const { features, maxChoices } = info.capabilities;
	const has = (feature: RequestFeature) => features.includes(feature);
	const modes = GUIDED_MODES.filter(([feature]) => has(feature)).map(([, mode]) => mode);
	const [servedModelName = info.model, ...servedModelAliases] = namesOf(options);
	return {
		modelId: info.model,
		servedModelName,
		servedModelAliases,
		maxContextLength: info.contextLength,
		supportsTextInput: false,
		supportsTokenIdsInput: true,
		generation: {
			promptLogprobs: logprobs(has("prompt_logprobs")),
			outputLogprobs: logprobs(info.capabilities.logprobs),
			guidedDecoding: { supported: modes.length > 0, modes },
			maxNumSequences: maxChoices,
			supportsPriority: has("priority"),
			supportsStopInOutput: has("visible_stop_token_ids"),
			supportsCacheSalt: has("cache_salt"),
			supportsPrefixCacheBypass: has("bypass_prefix_cache"),
		},
		supportsLora: has("lora"),
		supportsMultimodal: has("image") || has("video") || has("audio"),
		extra: { vocab_size: info.vocabSize, eos_token_ids: info.eosTokenIds },
	};
}

export function loadInfo(
	loads: readonly EngineLoad[],
	instanceId: string,
	includePerRank: boolean,
): MessageInit<m.LoadInfo> {
	const sum = (of: (load: EngineLoad) => number) => loads.reduce((total, load) => total + of(load), 0);
	return {
		instanceId,
		timestampUnixNanos: BigInt(Date.now()) * 1_000_000n,
		runningRequests: sum(({ runningSequences }) => runningSequences),
		queuedRequests: sum(({ waitingSequences }) => waitingSequences),
		usedKvBlocks: BigInt(sum(({ activeKvBlocks }) => activeKvBlocks)),
		totalKvBlocks: BigInt(sum(({ totalKvBlocks }) => totalKvBlocks)),
		ranks: includePerRank
			? loads.map((load) => ({
					dataParallelRank: load.dpRank,
					runningRequests: load.runningSequences,
					queuedRequests: load.waitingSequences,
					usedKvBlocks: BigInt(load.activeKvBlocks),
					totalKvBlocks: BigInt(load.totalKvBlocks),
				}))
			: [],
	};
}
