// SPDX-License-Identifier: Apache-2.0
import { invalidArgument, type Logger, type Metrics } from "@dyn/common";
import type { IterationStats, LogitsProcessorFactory } from "@dyn/trtllm-native/core";
import { MockerFaults } from "./mocker-faults.js";
import { DYNAMO_TIMING, type StepTiming } from "./timing.js";

/** Defaults as in Dynamo's mocker with engine type trtllm, where it has the option. */
export interface MockerEngineOptions {
	/** Name in EngineInfo. Default "mocker". */
	readonly modelName?: string | undefined;
	/** Token ids are below this. Default 32,000. */
	readonly vocabSize?: number | undefined;
	/** Never chosen unless a logit bias asks for them. Default none: answers end by their length. */
	readonly eosTokenIds?: readonly number[] | undefined;
	/** Tokens per KV block, at least 2. Default 32. */
	readonly blockSize?: number | undefined;
	/** KV blocks of each rank. Default 16,384. */
	readonly numGpuBlocks?: number | undefined;
	/** Most tokens of prompt plus answer. Default 32,768, at most what the blocks hold. */
	readonly maxModelLen?: number | undefined;
	/** Most sequences that run at once, per rank. Default 256. */
	readonly maxNumSeqs?: number | undefined;
	/** Most tokens of one step, per rank. Default 8,192. */
	readonly maxNumBatchedTokens?: number | undefined;
	/** Data-parallel ranks. Default 1. */
	readonly dpSize?: number | undefined;
	/** Divides every modelled time; 0 or infinite = nothing takes any time. Default 1. */
	readonly speedupRatio?: number | undefined;
	/** Divides the time of decoding once more. Default 1. */
	readonly decodeSpeedupRatio?: number | undefined;
	/** Time that `start` takes, ms, not divided. Default 0. */
	readonly startupTimeMs?: number | undefined;
	/** Default: the polynomials of Dynamo's mocker. */
	readonly timing?: StepTiming | undefined;
	/** Time for a decode engine to collect a prefill's blocks before they are let go, ms. Default 30,000. */
	readonly kvTransferDeadlineMs?: number | undefined;
	/** Remembers the tokens of KV blocks, for doubles that publish them. Default false. */
	readonly remembersTokens?: boolean | undefined;
	readonly logitsProcessors?: Readonly<Record<string, LogitsProcessorFactory>> | undefined;
	/** What goes wrong, when it is to. */
	readonly faults?: MockerFaults | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
	/** Called after every step of a rank. */
	readonly onIteration?: ((stats: IterationStats, dpRank: number) => void) | undefined;
}

export interface ResolvedMockerOptions {
	readonly modelName: string;
	readonly vocabSize: number;
	readonly eosTokenIds: readonly number[];
	readonly kvBlockSize: number;
	readonly limits: {
		readonly numKvBlocks: number;
		readonly contextLength: number;
		readonly maxNumSeqs: number;
		readonly maxNumBatchedTokens: number;
	};
	readonly dpSize: number;
	readonly speed: { readonly speedupRatio: number; readonly decodeSpeedupRatio: number };
	readonly startupTimeMs: number;
	readonly timing: StepTiming;
	readonly kvTransferDeadlineMs: number;
	readonly faults: MockerFaults;
}

/** @throws DynError INVALID_ARGUMENT naming the option */
export function resolveMockerOptions(options: MockerEngineOptions): ResolvedMockerOptions {
	const kvBlockSize = count("blockSize", options.blockSize ?? 32, 2);
	const numKvBlocks = count("numGpuBlocks", options.numGpuBlocks ?? 16_384);
	const maxNumSeqs = count("maxNumSeqs", options.maxNumSeqs ?? 256);
	const maxModelLen = count("maxModelLen", options.maxModelLen ?? 32_768, 2);
	return {
		modelName: options.modelName ?? "mocker",
		vocabSize: count("vocabSize", options.vocabSize ?? 32_000, 2),
		eosTokenIds: options.eosTokenIds ?? [],
		kvBlockSize,
		limits: {
			numKvBlocks,
			contextLength: Math.min(maxModelLen, numKvBlocks * kvBlockSize),
			maxNumSeqs,
			maxNumBatchedTokens: Math.max(
				count("maxNumBatchedTokens", options.maxNumBatchedTokens ?? 8192),
				maxNumSeqs,
			),
		},
		dpSize: count("dpSize", options.dpSize ?? 1),
		speed: {
			speedupRatio: atLeastZero("speedupRatio", options.speedupRatio ?? 1),
			decodeSpeedupRatio: atLeastZero("decodeSpeedupRatio", options.decodeSpeedupRatio ?? 1) || 1,
		},
		startupTimeMs: atLeastZero("startupTimeMs", options.startupTimeMs ?? 0),
		timing: options.timing ?? DYNAMO_TIMING,
		kvTransferDeadlineMs: atLeastZero("kvTransferDeadlineMs", options.kvTransferDeadlineMs ?? 30_000),
		faults: options.faults ?? new MockerFaults(),
	};
}

function count(name: string, value: number, least = 1): number {
	if (Number.isSafeInteger(value) && value >= least) return value;
	throw invalidArgument(name, `${name} must be an integer of at least ${least}, got ${value}`);
}

function atLeastZero(name: string, value: number): number {
	if (value >= 0) return value;
	throw invalidArgument(name, `${name} must be a number of at least 0, got ${value}`);
}
