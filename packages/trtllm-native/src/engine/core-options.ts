// SPDX-License-Identifier: Apache-2.0
import type { Logger, Metrics } from "@dyn/common";
import type { LogitsProcessorFactory } from "@dyn/logits";
import type { ForwardBackend } from "../backend/forward-backend.js";
import type { CreateHandoff } from "../handoff/handoff.js";
import type { Adapters } from "../lora/adapters.js";
import type { ModelSpec } from "../model/model-spec.js";
import type { SpeculationOptions } from "../speculation/speculation.js";
import type { Grammars } from "./guided-choice.js";
import type { EngineLimits, IterationStats } from "./options.js";
import type { Pooling } from "./pooler.js";

/** What an engine core is told by whoever builds an engine on it. */
export interface EngineCoreOptions {
	/** Name in EngineInfo. */
	readonly modelName: string;
	/** Logits processors that requests may name. Default: none. */
	readonly logitsProcessors?: Readonly<Record<string, LogitsProcessorFactory>> | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
	/** Data-parallel rank, stamped on load, KV events and metrics. Default 0. */
	readonly dpRank?: number | undefined;
	/** Lets prefill and decode be apart. Default: they are not. */
	readonly createHandoff?: CreateHandoff | undefined;
	/** How embeddings are made of hidden states. Default: as the model asks, else their mean. */
	readonly embeddingPooling?: Pooling | undefined;
	/** Called after every step. What it throws is logged. */
	readonly onIteration?: ((stats: IterationStats) => void) | undefined;
}

/** What must be there before a core can run. */
export interface OpenEngine {
	readonly spec: Pick<ModelSpec, "vocabSize" | "eosTokenIds"> & Partial<Pick<ModelSpec, "hiddenSize">>;
	/** What the model asks for, when embeddings are made of it. */
	readonly pooling?: Pooling | undefined;
	readonly limits: Pick<
		EngineLimits,
		"maxNumSeqs" | "maxNumBatchedTokens" | "maxPromptTokensBesideDecoding" | "contextLength" | "numKvBlocks"
	>;
	/** Tokens per KV block. */
	readonly kvBlockSize: number;
	/** The core closes it. */
	readonly backend: ForwardBackend;
	/** For guided decoding. Default: there is none. */
	readonly grammars?: Grammars | null | undefined;
	/** Guesses tokens to come; the core closes its drafter. Default: every token takes a step. */
	readonly speculation?: Omit<SpeculationOptions, "logger"> | null;
	/** LoRA adapters, when the backend can have them; those of all ranks. */
	readonly adapters?: Adapters | null | undefined;
	/** One line for people, as in EngineInfo. */
	readonly description: string;
}
