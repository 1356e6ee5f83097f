// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { AsyncQueue, DynError, invalidArgument, type RequestContext } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { deferredIterable, EngineCore } from "@dyn/trtllm-native/core";
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
	readonly #ranks: readonly EngineCore[];
	/** Requests under way, by rank. */
	readonly #underWay: number[];
	#memory: TokenMemory | null = null;
	#subscriber: AsyncQueue<KvEvent> | null = null;

	constructor(options: MockerEngineOptions, resolved: ResolvedMockerOptions) {
		this.#resolved = resolved;
		this.#remembers = options.remembersTokens ?? false;
		this.faults = resolved.faults;
		this.#ranks = Array.from({ length: resolved.dpSize }, (_, dpRank) => this.#createRank(dpRank, options));
		this.#underWay = this.#ranks.map(() => 0);
		this.logitsProcessors = this.#ranks[0]!.logitsProcessors;
	}

	async start(): Promise<EngineInfo> {
		const { startupTimeMs, dpSize, limits, kvBlockSize } = this.#resolved;
		if (startupTimeMs > 0) await delay(startupTimeMs);
		if (this.#remembers) this.#memory = await TokenMemory.create(2 * dpSize * limits.numKvBlocks);
		const [info] = await Promise.all(this.#ranks.map((rank) => rank.start()));
		return { ...info!, dpSize, kvBlockSize };
	}

	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		return deferredIterable(async () => {
			this.faults.admit();
			const dpRank = this.#rankFor(request);
			const { routing } = request;
			const outputs = this.#ranks[dpRank]!.generate({ ...request, routing: { ...routing, dpRank } }, context);
			this.#underWay[dpRank]!++;
			return this.#watched(outputs[Symbol.asyncIterator](), () => this.#underWay[dpRank]!--);
		});
	}

	kvEvents(): AsyncIterable<KvEvent> {
		this.#subscriber?.end();
		const iterators = this.#ranks.map((rank) => rank.kvEvents()[Symbol.asyncIterator]());
		const queue = new AsyncQueue<KvEvent>(() => {
			for (const iterator of iterators) void iterator.return?.();
		});
		this.#subscriber = queue;
		for (const iterator of iterators) void forward(iterator, queue);
		return queue;
	}

	tokensOf(tokensHash: bigint): Uint32Array | undefined {
		return this.#memory?.get(tokensHash);
	}

	load(): readonly EngineLoad[] {
		return this.#ranks.flatMap((rank) => rank.load());
	}

	/** The worst of the ranks'. */
	health(): EngineHealth {
		const healths = this.#ranks.map((rank) => rank.health());
		return (
			healths.find(({ status }) => status === "dead") ??
			healths.find(({ status }) => status === "stalled") ??
			healths[0]!
		);
	}

	async drain(): Promise<void> {
		await Promise.all(this.#ranks.map((rank) => rank.drain()));
	}

	async close(): Promise<void> {
		const closing = this.#ranks.map((rank) => rank.close());
		this.faults.recover(); // a step that hangs would keep its rank from closing
		await Promise.all(closing);
		this.#subscriber?.end();
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
				metrics: dpRank === 0 ? metrics : undefined,
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

	/** The rank that is asked for, else that of the conversation, else the least loaded. */
	#rankFor({ routing: { dpRank, conversationId } }: GenerateRequest): number {
		const { length } = this.#ranks;
		if (dpRank !== null) {
			if (Number.isInteger(dpRank) && dpRank >= 0 && dpRank < length) return dpRank;
			throw invalidArgument("dp_rank", `dp_rank is ${dpRank}, but this engine has ranks 0 to ${length - 1}`);
		}
		if (conversationId !== null) {
			let hash = 0;
			for (const character of conversationId) hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
			return hash % length;
		}
		return this.#underWay.indexOf(Math.min(...this.#underWay));
	}

	/** Tells when the stream has ended, and loses it when that is the fault of the day. */
	#watched(
		outputs: AsyncIterator<EngineOutput, undefined>,
		onEnd: () => void,
	): AsyncIterator<EngineOutput, undefined> {
		let left: (() => void) | null = onEnd;
		let items = 0;
		const end = () => {
			left?.();
			left = null;
		};
		const leave = async () => {
			end();
			await outputs.return?.();
			return { done: true, value: undefined } as const;
		};
		return {
			next: async () => {
				try {
					const { dropAfter } = this.faults;
					if (dropAfter !== null && items++ >= dropAfter) return await leave();
					const result = await outputs.next();
					if (result.done) end();
					return result;
				} catch (error) {
					end();
					throw DynError.from(error);
				}
			},
			return: leave,
		};
	}
}

async function forward(
	iterator: AsyncIterator<KvEvent, undefined>,
	queue: AsyncQueue<KvEvent>,
): Promise<void> {
	for (let next = await iterator.next(); !next.done; next = await iterator.next()) queue.push(next.value);
}
