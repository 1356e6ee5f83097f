// SPDX-License-Identifier: Apache-2.0
import { basename } from "node:path";
import {
	AsyncQueue,
	DynError,
	invalidArgument,
	type Logger,
	noMetrics,
	type RequestContext,
	silentLogger,
} from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import { BlockPool } from "@dyn/kvbm";
import {
	applyProcessors,
	createLogitsProcessorRegistry,
	LogitsProcessorError,
	type LogitsProcessorRegistry,
} from "@dyn/logits";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";
import type { ForwardBackend, SampledToken, StepSequence } from "../backend/forward-backend.js";
import type { ModelSpec } from "../model/model-spec.js";
import { MAX_CHOICES, resolveSampling } from "../sampling/resolve-sampling.js";
import { type ScheduledShare, Scheduler, type StepPlan } from "../scheduler/scheduler.js";
import { Sequence } from "../scheduler/sequence.js";
import { type ActiveRequest, type Choice, cancelledOutput, outputOf } from "./active-request.js";
import { DeltaQueue } from "./delta-queue.js";
import { EngineMetrics } from "./engine-metrics.js";
import { openModel } from "./open-model.js";
import type { EmbeddedEngineOptions, EngineLimits } from "./options.js";

/** With work and no finished step for this long, the engine reports itself stalled. */
const STALL_MS = 30_000;
/** Hashers of cache salts that are kept. */
const KEPT_SALTS = 64;

/** The embedded engine: TypeScript plans every step, a backend computes it. Load it with `start`. */
export function createEmbeddedEngine(options: EmbeddedEngineOptions): Engine {
	return new EmbeddedEngine(options);
}

interface Loaded {
	readonly spec: ModelSpec;
	readonly limits: EngineLimits;
	readonly backend: ForwardBackend;
	readonly pool: BlockPool;
	readonly scheduler: Scheduler;
	readonly metrics: EngineMetrics;
	readonly kvBlockSize: number;
}

class EmbeddedEngine implements Engine {
	readonly logitsProcessors: { readonly names: readonly string[] };
	readonly #options: EmbeddedEngineOptions;
	readonly #logger: Logger;
	readonly #processors: LogitsProcessorRegistry;
	readonly #requests = new Set<ActiveRequest>();
	readonly #bySequence = new Map<Sequence, ActiveRequest>();
	readonly #hashers = new Map<string, Promise<BlockHasher>>();
	#loaded: Loaded | null = null;
	#state: "new" | "running" | "draining" | "closed" = "new";
	#death: DynError | null = null;
	#looping: Promise<void> | null = null;
	#stepping: readonly ScheduledShare[] = [];
	#iteration = 0;
	#lastProgressMs = 0;
	#idle: (() => void)[] = [];
	#kvSubscriber: AsyncQueue<KvEvent> | null = null;
	#kvEventId = 0;

	constructor(options: EmbeddedEngineOptions) {
		this.#options = options;
		this.#logger = options.logger ?? silentLogger;
		this.#processors = createLogitsProcessorRegistry(options.logitsProcessors ?? {});
		this.logitsProcessors = { names: this.#processors.names };
	}

	async start(): Promise<EngineInfo> {
		if (this.#state !== "new") throw new DynError("INTERNAL", "the engine was started before");
		this.#state = "running";
		const { spec, limits, backend, kvBlockSize } = await openModel(this.#options);
		const pool = new BlockPool(limits.numKvBlocks, (data) => {
			const event = { eventId: this.#kvEventId++, dpRank: 0, data };
			this.#kvSubscriber?.push(event);
		});
		const scheduler = new Scheduler(pool, { ...limits, kvBlockSize });
		const metrics = new EngineMetrics(this.#options.metrics ?? noMetrics, () => this.load()[0]!);
		this.#loaded = { spec, limits, backend, pool, scheduler, metrics, kvBlockSize };
		if ((this.#state as string) === "closed") {
			await backend.close();
			throw new DynError("CANCELLED", "the engine was closed while it started");
		}
		const { isa, threads, weightBytes, kvBlockBytes } = backend.info;
		this.#logger.info("engine ready", {
			isa,
			weightMiB: toMiB(weightBytes),
			kvCacheMiB: toMiB(kvBlockBytes * limits.numKvBlocks),
			...limits,
		});
		return {
			model: this.#options.modelName ?? basename(this.#options.modelPath),
			contextLength: limits.contextLength,
			vocabSize: spec.vocabSize,
			eosTokenIds: spec.eosTokenIds,
			kvBlockSize,
			totalKvBlocks: limits.numKvBlocks,
			maxNumSeqs: limits.maxNumSeqs,
			maxNumBatchedTokens: limits.maxNumBatchedTokens,
			dpSize: 1,
			description: `embedded, ${isa}, ${threads} thread${threads === 1 ? "" : "s"}`,
			capabilities: { logprobs: true, maxChoices: MAX_CHOICES, kvEvents: true },
		};
	}

	async *generate(request: GenerateRequest, context: RequestContext): AsyncGenerator<EngineOutput, void> {
		const active = await this.#accept(request, context);
		const abort = () => this.#cancel(active, { silent: false });
		const timer = deadlineTimer(context, () =>
			this.#cancel(active, {
				silent: true,
				error: new DynError("DEADLINE_EXCEEDED", `request ${context.id} ran past its deadline`),
			}),
		);
		context.signal.addEventListener("abort", abort, { once: true });
		if (context.signal.aborted) abort();
		try {
			yield* active.queue;
		} finally {
			context.signal.removeEventListener("abort", abort);
			clearTimeout(timer);
		}
	}

	kvEvents(): AsyncIterable<KvEvent> {
		this.#kvSubscriber?.end();
		const queue: AsyncQueue<KvEvent> = new AsyncQueue(() => {
			if (this.#kvSubscriber === queue) this.#kvSubscriber = null;
		});
		this.#kvSubscriber = queue;
		return queue;
	}

	load(): readonly EngineLoad[] {
		if (!this.#loaded)
			return [
				{
					dpRank: 0,
					runningSequences: 0,
					waitingSequences: 0,
					activeKvBlocks: 0,
					cachedKvBlocks: 0,
					totalKvBlocks: 0,
				},
			];
		const { scheduler, pool } = this.#loaded;
		const { active, cached, total } = pool.stats;
		return [
			{
				dpRank: 0,
				runningSequences: scheduler.running,
				waitingSequences: scheduler.waiting,
				activeKvBlocks: active,
				cachedKvBlocks: cached,
				totalKvBlocks: total,
			},
		];
	}

	health(): EngineHealth {
		if (this.#death) return { status: "dead", reason: this.#death.rawMessage };
		if (this.#state === "closed") return { status: "dead", reason: "the engine is closed" };
		const sinceMs = performance.now() - this.#lastProgressMs;
		return this.#looping && sinceMs > STALL_MS ? { status: "stalled", sinceMs } : { status: "healthy" };
	}

	async drain(): Promise<void> {
		if (this.#state === "running") this.#state = "draining";
		if (this.#requests.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
	}

	async close(): Promise<void> {
		if (this.#state === "closed") return;
		this.#state = "closed";
		for (const request of this.#requests) this.#cancel(request, { silent: false });
		this.#loaded?.backend.cancelStep();
		await this.#looping;
		this.#kvSubscriber?.end();
		await this.#loaded?.backend.close();
	}

	/** Checks a request and queues it. */
	async #accept(request: GenerateRequest, context: RequestContext): Promise<ActiveRequest> {
		const { spec, limits } = this.#usable();
		const { tokenIds: prompt, stop } = request;
		if (prompt.length === 0)
			throw invalidArgument("prompt", "the prompt is empty: it needs at least one token");
		for (const id of prompt) {
			if (!Number.isInteger(id) || id < 0 || id >= spec.vocabSize) {
				throw invalidArgument(
					"prompt",
					`the prompt has the token id ${id}, which is not in the vocabulary of ${spec.vocabSize}`,
				);
			}
		}
		const room = limits.contextLength - prompt.length;
		if (room < 1) {
			throw new DynError(
				"CONTEXT_LENGTH_EXCEEDED",
				`the prompt has ${prompt.length} tokens, but the context holds ${limits.contextLength}; shorten it`,
				{ details: { param: "prompt" } },
			);
		}
		if (stop.maxTokens !== null && !(Number.isSafeInteger(stop.maxTokens) && stop.maxTokens > 0)) {
			throw invalidArgument("max_tokens", `max_tokens must be a positive integer, got ${stop.maxTokens}`);
		}
		const eosTokenIds = stop.ignoreEos ? [] : spec.eosTokenIds;
		const sampling = resolveSampling(request, spec.vocabSize, [...eosTokenIds, ...stop.stopTokenIds]);
		const processors = Array.from({ length: sampling.choices }, () => this.#createProcessors(request));
		const hasher = await this.#hasher(request.routing.cacheSalt);
		this.#usable();

		const active: ActiveRequest = {
			id: context.id,
			queue: new DeltaQueue(() => this.#cancel(active, { silent: true })),
			open: new Map(),
			maxTokens: Math.min(stop.maxTokens ?? room, room),
			eosTokenIds: new Set(eosTokenIds),
			stopTokenIds: new Set(stop.stopTokenIds),
			cancelled: null,
		};
		let leader: Sequence | undefined;
		for (let index = 0; index < sampling.choices; index++) {
			const sequence: Sequence = new Sequence({
				prompt,
				priority: request.routing.priority ?? 0,
				hasher,
				processed: processors[index]!.length > 0,
				...(leader ? { leader } : {}),
			});
			leader ??= sequence;
			active.open.set(sequence, {
				index,
				sequence,
				params: sampling.params(index),
				processors: processors[index]!,
			});
			this.#bySequence.set(sequence, active);
			this.#loaded!.scheduler.add(sequence);
		}
		this.#requests.add(active);
		if (!this.#looping) this.#lastProgressMs = performance.now();
		this.#looping ??= this.#loop();
		return active;
	}

	#usable(): Loaded {
		if (this.#death) throw this.#death;
		if (this.#state === "draining")
			throw new DynError("DRAINING", "the engine is draining and takes no new requests");
		if (!this.#loaded || this.#state !== "running")
			throw new DynError("UNAVAILABLE", "the engine is not running");
		return this.#loaded;
	}

	#createProcessors(request: GenerateRequest) {
		try {
			return this.#processors.create(request.logitsProcessors);
		} catch (error) {
			if (!(error instanceof LogitsProcessorError)) throw error;
			const index = request.logitsProcessors.findIndex(({ name }) => name === error.processor);
			throw new DynError("INVALID_ARGUMENT", error.message, {
				cause: error,
				details: { param: `nvext.logits_processors[${index}]` },
			});
		}
	}

	#hasher(salt: string | null): Promise<BlockHasher> {
		const key = salt ?? "";
		const known = this.#hashers.get(key) ?? createBlockHasher({ cacheSalt: salt });
		this.#hashers.delete(key);
		this.#hashers.set(key, known);
		if (this.#hashers.size > KEPT_SALTS) this.#hashers.delete(this.#hashers.keys().next().value!);
		return known;
	}

	#cancel(request: ActiveRequest, reason: { readonly silent: boolean; readonly error?: unknown }): void {
		if (request.cancelled || request.open.size === 0) return;
		request.cancelled = reason;
		// Worth stopping the step when most of what it computes is for nobody.
		let wanted = 0;
		let wasted = 0;
		for (const { sequence, count } of this.#stepping) {
			if (this.#bySequence.get(sequence)?.cancelled) wasted += count;
			else wanted += count;
		}
		if (wasted > wanted) this.#loaded?.backend.cancelStep();
	}

	/** Steps until no sequence is left. */
	async #loop(): Promise<void> {
		const { scheduler, backend } = this.#loaded!;
		try {
			for (;;) {
				this.#endCancelled();
				const plan = scheduler.plan();
				if (plan.shares.length === 0) break;
				this.#updateSlots(plan);
				this.#stepping = plan.shares;
				const result = await backend.step(plan.shares.map(toStepSequence));
				this.#stepping = [];
				this.#lastProgressMs = performance.now();
				if (!result.cancelled) this.#apply(plan, result.sampled, result.elapsedMs);
			}
		} catch (error) {
			this.#die(error);
		} finally {
			this.#stepping = [];
			this.#looping = null;
		}
	}

	#updateSlots({ preempted, admitted }: StepPlan): void {
		const { backend, metrics } = this.#loaded!;
		for (const { slot } of preempted) backend.closeSlot(slot);
		for (const sequence of admitted) {
			const choice = this.#bySequence.get(sequence)!.open.get(sequence)!;
			backend.openSlot(sequence.slot, choice.params, sequence.tokens.view(), sequence.generated);
			if (sequence.generated === 0) metrics.prompt(sequence.promptLength, sequence.cached);
		}
	}

	#apply(plan: StepPlan, sampled: readonly SampledToken[], elapsedMs: number): void {
		const { scheduler, backend, metrics, pool } = this.#loaded!;
		const bySlot = new Map(sampled.map((token) => [token.slot, token]));
		let tokens = 0;
		for (const share of plan.shares) {
			scheduler.computed(share);
			if (!share.samples) continue;
			const { sequence } = share;
			const request = this.#bySequence.get(sequence)!;
			if (request.cancelled) continue;
			const choice = request.open.get(sequence);
			if (!choice) continue; // a sibling's processor failed in this very step
			try {
				const token = bySlot.get(sequence.slot) ?? this.#sampleProcessed(backend, choice);
				tokens++;
				const output = outputOf(request, choice, token, this.#loaded!.limits.contextLength);
				request.queue.push(output);
				if (output.finishReason) this.#endChoice(request, sequence);
			} catch (error) {
				this.#fail(request, error);
			}
		}
		this.#iteration++;
		metrics.step(tokens, plan.preempted.length);
		const { active, total } = pool.stats;
		this.#options.onIteration?.({
			iteration: this.#iteration,
			rows: plan.shares.reduce((sum, { count }) => sum + count, 0),
			promptRows: plan.shares.reduce(
				(sum, { sequence, count }) => sum + (sequence.generated === 0 || count > 1 ? count : 0),
				0,
			),
			runningSequences: scheduler.running,
			waitingSequences: scheduler.waiting,
			kvCacheUtilization: active / total,
			preemptions: scheduler.preemptions,
			elapsedMs,
		});
	}

	#sampleProcessed(backend: ForwardBackend, { sequence, processors }: Choice): SampledToken {
		try {
			applyProcessors(processors, sequence.tokens.view(), backend.logits(sequence.slot));
		} catch (error) {
			if (!(error instanceof LogitsProcessorError)) throw error;
			throw new DynError("LOGITS_PROCESSOR_FAILED", error.message, {
				cause: error,
				details: { processor: error.processor },
			});
		}
		return backend.sampleRow(sequence.slot);
	}

	#endCancelled(): void {
		for (const request of this.#requests) {
			if (!request.cancelled) continue;
			const { silent, error } = request.cancelled;
			if (error !== undefined) {
				this.#fail(request, error);
				continue;
			}
			for (const choice of request.open.values()) if (!silent) request.queue.push(cancelledOutput(choice));
			for (const sequence of [...request.open.keys()]) this.#endChoice(request, sequence);
		}
	}

	#fail(request: ActiveRequest, error: unknown): void {
		request.queue.fail(DynError.from(error));
		for (const sequence of [...request.open.keys()]) this.#endChoice(request, sequence);
	}

	#endChoice(request: ActiveRequest, sequence: Sequence): void {
		const slot = this.#loaded!.scheduler.remove(sequence);
		if (slot !== -1 && !this.#death) this.#loaded!.backend.closeSlot(slot);
		this.#bySequence.delete(sequence);
		request.open.delete(sequence);
		if (request.open.size > 0) return;
		request.queue.end();
		this.#requests.delete(request);
		if (this.#requests.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
	}

	/** The backend failed: nothing it holds can be trusted any more. */
	#die(error: unknown): void {
		const cause = DynError.from(error);
		this.#death = new DynError("UNAVAILABLE", `the engine died: ${cause.rawMessage}`, { cause });
		this.#logger.error("engine died", { error: cause });
		for (const request of [...this.#requests]) this.#fail(request, this.#death);
	}
}

function toStepSequence({ sequence, count, samples }: ScheduledShare): StepSequence {
	return {
		slot: sequence.slot,
		tokens: sequence.tokens.view(sequence.computed, sequence.computed + count),
		position: sequence.computed,
		blocks: Uint32Array.from(sequence.blocks),
		output: !samples ? "none" : sequence.processed ? "logits" : "sample",
	};
}

function deadlineTimer(context: RequestContext, expire: () => void): NodeJS.Timeout | undefined {
	if (context.deadlineMs === null) return undefined;
	return setTimeout(expire, Math.max(0, context.deadlineMs - performance.now()));
}

function toMiB(bytes: number): number {
	return Math.round(bytes / 2 ** 20);
}
