// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { DynError, type RequestContext } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { deferredIterable, EngineCore, RankedEngine } from "@dyn/trtllm-native/core";
import { MockerBackend } from "./mocker-backend.js";
import type { MockerFaults } from "./mocker-faults.js";
import { MockerHandoff } from "./mocker-handoff.js";
import {
	type MockerEngineOptions,
	type ResolvedMockerOptions,
	resolveMockerOptions,
} from "./mocker-options.js";
import { TokenMemory } from "./token-memory.js";

/** A simulated engine. */
export interface MockerEngine extends Engine {
	readonly faults: MockerFaults;
	/** Tokens of a KV block by `StoredBlock.tokensHash`, with `remembersTokens`. */
	tokensOf(tokensHash: bigint): Uint32Array | undefined;
}

/**
 * An engine without a model: scheduler, block pool, prefix reuse, preemption, KV events and cancellation are those of the
 * embedded engine, tokens are a function of context and seed, and a step takes as long as a timing model says.
 * @throws DynError INVALID_ARGUMENT naming the option
 */
export function createMockerEngine(options: MockerEngineOptions = {}): MockerEngine {
	return new SimulatedEngine(options, resolveMockerOptions(options));
}

class SimulatedEngine implements MockerEngine {
	readonly faults: MockerFaults;
	readonly logitsProcessors: { readonly names: readonly string[] };
	readonly #resolved: ResolvedMockerOptions;
	readonly #remembers: boolean;
	readonly #ranks: RankedEngine;
	#memory: TokenMemory | null = null;

	constructor(options: MockerEngineOptions, resolved: ResolvedMockerOptions) {
		this.#resolved = resolved;
		this.#remembers = options.remembersTokens ?? false;
		this.faults = resolved.faults;
		this.#ranks = new RankedEngine(
			Array.from({ length: resolved.dpSize }, (_, dpRank) => this.#createRank(dpRank, options)),
		);
		this.logitsProcessors = this.#ranks.logitsProcessors;
	}

	async start(): Promise<EngineInfo> {
		const { startupTimeMs, dpSize, limits } = this.#resolved;
		if (startupTimeMs > 0) await delay(startupTimeMs);
		if (this.#remembers) this.#memory = await TokenMemory.create(2 * dpSize * limits.numKvBlocks);
		return this.#ranks.start();
	}

	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		return deferredIterable(async () => {
			this.faults.admit();
			return this.#dropped(this.#ranks.generate(request, context)[Symbol.asyncIterator]());
		});
	}

	kvEvents(): AsyncIterable<KvEvent> {
		return this.#ranks.kvEvents();
	}

	tokensOf(tokensHash: bigint): Uint32Array | undefined {
		return this.#memory?.get(tokensHash);
	}

	load(): readonly EngineLoad[] {
		return this.#ranks.load();
	}

	health(): EngineHealth {
		return this.#ranks.health();
	}

	drain(): Promise<void> {
		return this.#ranks.drain();
	}

	async close(): Promise<void> {
		const closing = this.#ranks.close();
		this.faults.recover(); // a step that hangs would keep its rank from closing
		await closing;
	}

	#createRank(dpRank: number, options: MockerEngineOptions): EngineCore {
		const { modelName, limits, kvBlockSize, vocabSize, eosTokenIds, dpSize } = this.#resolved;
		const { timing, speed, faults, kvTransferDeadlineMs: deadlineMs } = this.#resolved;
		const { logger, logitsProcessors, metrics, onIteration } = options;
		const onBlock = (tokens: Uint32Array) => this.#memory?.add(tokens);
		return new EngineCore(
			{
				modelName,
				dpRank,
				logger,
				logitsProcessors,
				metrics,
				onIteration: onIteration && ((stats) => onIteration(stats, dpRank)),
				createHandoff: ({ pool }) => new MockerHandoff({ pool, kvBlockSize, dpRank, deadlineMs, onBlock }),
			},
			async () => ({
				spec: { vocabSize, eosTokenIds },
				limits,
				kvBlockSize,
				description: `simulated, ${dpSize} rank${dpSize === 1 ? "" : "s"}`,
				backend: new MockerBackend({
					vocabSize,
					eosTokenIds,
					kvBlockSize,
					numKvBlocks: limits.numKvBlocks,
					timing,
					speed,
					faults,
					onBlock,
				}),
			}),
		);
	}

	/** The same stream, lost when that is the fault of the day. */
	#dropped(outputs: AsyncIterator<EngineOutput, undefined>): AsyncIterator<EngineOutput, undefined> {
		let items = 0;
		const leave = async () => {
			await outputs.return?.();
			return { done: true, value: undefined } as const;
		};
		return {
			next: async () => {
				try {
					const { dropAfter } = this.faults;
					return dropAfter !== null && items++ >= dropAfter ? await leave() : await outputs.next();
				} catch (error) {
					throw DynError.from(error);
				}
			},
			return: leave,
		};
	}
}
