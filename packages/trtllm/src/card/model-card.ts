// SPDX-License-Identifier: Apache-2.0
import { systemClock } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import { DEFAULT_MODEL } from "@dyn/models/store";
import type { ModelCard, ModelFiles } from "@dyn/protocols";
import type { WorkerRole } from "../disaggregation-mode.js";
import type { TrtllmWorkerOptions } from "../worker-options.js";

export interface CardParts {
	readonly name: string;
	/** Folder or GGUF file with the tokenizer. */
	readonly modelPath: string;
	readonly files: ModelFiles | null;
	readonly role: WorkerRole;
	readonly info: EngineInfo;
	readonly engine: Engine;
	/** What it tells KV-aware routers. */
	readonly routing: Pick<ModelCard, "publishesKvEvents" | "answersKvQueries">;
}

/** The card of a worker: what its engine says of itself, and what it was told. */
export function modelCard(
	{ name, modelPath, files, role, info, engine, routing }: CardParts,
	options: TrtllmWorkerOptions,
): ModelCard {
	const makesEmbeddings = role.endpointTypes.length > 0 && engine.embed && info.embeddingSize !== undefined;
	return {
		name,
		source: options.tokenizerPath ?? options.model ?? DEFAULT_MODEL,
		tokenizerPath: options.tokenizerPath ?? modelPath,
		files,
		chatTemplatePath: options.chatTemplatePath ?? null,
		endpointTypes: makesEmbeddings ? [...role.endpointTypes, "embeddings"] : role.endpointTypes,
		contextLength: info.contextLength,
		kvBlockSize: info.kvBlockSize,
		totalKvBlocks: info.totalKvBlocks,
		maxNumSeqs: info.maxNumSeqs,
		maxNumBatchedTokens: info.maxNumBatchedTokens,
		dpSize: info.dpSize,
		eosTokenIds: info.eosTokenIds,
		logitsProcessors: engine.logitsProcessors?.names ?? [],
		logprobs: info.capabilities.logprobs,
		maxChoices: info.capabilities.maxChoices,
		...(info.capabilities.resumesGuided ? { resumesGuided: true } : {}),
		...routing,
		workerType: role.workerType,
		localPrefill: role.workerType === "decode",
		needs: role.needs,
		createdSeconds: Math.floor((options.clock ?? systemClock).wallMs() / 1000),
	};
}
