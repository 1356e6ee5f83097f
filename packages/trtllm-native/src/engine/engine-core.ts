// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, noMetrics, type RequestContext, silentLogger } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad, LoraAdapters, RequestFeature } from "@dyn/engine";
import { BlockPool } from "@dyn/kvbm";
import {
	createLogitsProcessorRegistry,
	LogitsProcessorError,
	type LogitsProcessorRegistry,
	type NamedProcessor,
} from "@dyn/logits";
import type { EmbedOutput, EmbedRequest, EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import type { Handoff } from "../handoff/handoff.js";
import { MAX_CHOICES } from "../sampling/resolve-sampling.js";
import { Scheduler } from "../scheduler/scheduler.js";
import { Speculation, type SpeculationStats } from "../speculation/speculation.js";
import type { EngineCoreOptions, OpenEngine } from "./core-options.js";
import { deferredIterable } from "./deferred-iterable.js";
import type { DeltaQueue } from "./delta-queue.js";
import { embed } from "./embed.js";
import { EngineMetrics } from "./engine-metrics.js";
import { openGuides } from "./guided-choice.js";
import { KvEventStream } from "./kv-event-stream.js";
import { queueRequest } from "./queue-request.js";
import { SaltedHashers } from "./salted-hashers.js";
import { StepLoop, type StepReport } from "./step-loop.js";
import { validateEmbedRequest } from "./validate-embed-request.js";
import { FEATURES, GUIDED_FEATURES, validateRequest } from "./validate-request.js";

/** With work and no finished step for this long, the engine reports itself stalled. */
export const STALL_MS = 30_000;
const NO_GUESSES: SpeculationStats = { rounds: 0, guessed: 0, accepted: 0 };

interface Loaded extends OpenEngine {
	readonly pool: BlockPool;
	readonly scheduler: Scheduler;
	readonly loop: StepLoop;
	readonly speculator: Speculation | null;
	readonly metrics: EngineMetrics;
	/** When prefill and decode may be apart. */
	readonly handoff: Handoff | null;
	/** Undefined when the backend makes none. */
	readonly embeddingSize: number | undefined;
}

/**
 * An engine but for its backend: scheduler, block pool with prefix reuse, KV events, cancellation. TypeScript plans every
 * step, whatever `open` gives computes it.
 */
export class EngineCore implements Engine {
	readonly logitsProcessors: { readonly names: readonly string[] };
	readonly #options: EngineCoreOptions;
	readonly #open: () => Promise<OpenEngine>;
	readonly #logger: Logger;
	readonly #processors: LogitsProcessorRegistry;
	readonly #hashers = new SaltedHashers();
	readonly #kvEvents: KvEventStream;
	#opening: Promise<OpenEngine> | null = null;
	#loaded: Loaded | null = null;
	#draining = false;
	#closing: Promise<void> | null = null;
	#iteration = 0;

	/** @param open called once, by `start`; the core closes the backend that it gives */
	constructor(options: EngineCoreOptions, open: () => Promise<OpenEngine>) {
		this.#options = options;
		this.#open = open;
		this.#logger = options.logger ?? silentLogger;
		this.#processors = createLogitsProcessorRegistry(options.logitsProcessors ?? {});
		this.#kvEvents = new KvEventStream(options.dpRank ?? 0);
		this.logitsProcessors = { names: this.#processors.names };
	}

	async start(): Promise<EngineInfo> {
		if (this.#opening) throw new DynError("INTERNAL", "the engine was started before; create another one");
		if (this.#closing) throw new DynError("UNAVAILABLE", "the engine is closed; create another one");
		this.#opening = this.#open();
		const opened = await this.#opening;
		const { spec, limits, backend, kvBlockSize } = opened;
		if (this.#closing) throw new DynError("CANCELLED", "the engine was closed while it started");
		const pool = new BlockPool(limits.numKvBlocks, (data) => this.#kvEvents.push(data));
		const scheduler = new Scheduler(pool, { ...limits, kvBlockSize });
		const speculator = opened.speculation
			? new Speculation({ ...opened.speculation, logger: this.#logger })
			: null;
		opened.adapters?.watchUnloads(() => pool.clear());
		const loop = new StepLoop({
			scheduler,
			backend,
			speculation: speculator,
			logger: this.#logger,
			onStep: (report) => this.#report(report),
		});
		const metrics = new EngineMetrics(
			this.#options.metrics ?? noMetrics,
			() => this.load()[0]!,
			String(this.#options.dpRank ?? 0),
		);
		const handoff = this.#options.createHandoff?.({ pool, backend, kvBlockSize }) ?? null;
		const embeddingSize = backend.hidden ? spec.hiddenSize : undefined;
		this.#loaded = { ...opened, pool, scheduler, loop, speculator, metrics, handoff, embeddingSize };
		const { isa, weightBytes, kvBlockBytes } = backend.info;
		this.#logger.info("engine ready", {
			isa,
			weightMiB: toMiB(weightBytes),
			kvCacheMiB: toMiB(kvBlockBytes * limits.numKvBlocks),
			...limits,
		});
		return {
			model: this.#options.modelName,
			contextLength: limits.contextLength,
			vocabSize: spec.vocabSize,
			eosTokenIds: spec.eosTokenIds,
			kvBlockSize,
			totalKvBlocks: limits.numKvBlocks,
			maxNumSeqs: limits.maxNumSeqs,
			maxNumBatchedTokens: limits.maxNumBatchedTokens,
			dpSize: 1,
			description: opened.description,
			...(embeddingSize === undefined ? {} : { embeddingSize }),
			capabilities: {
				logprobs: true,
				maxChoices: MAX_CHOICES,
				kvEvents: true,
				features: this.#features,
				...(opened.grammars ? { resumesGuided: true } : {}),
			},
		};
	}

	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		return deferredIterable(() => this.#begin(request, context));
	}

	async embed(request: EmbedRequest, context: RequestContext): Promise<EmbedOutput> {
		const { spec, limits, embeddingSize } = this.#usable();
		if (embeddingSize === undefined)
			throw new DynError("UNIMPLEMENTED", "this engine makes no embeddings; ask another one");
		const { vocabSize } = spec;
		const { contextLength } = limits;
		validateEmbedRequest(request, {
			vocabSize,
			contextLength,
			embeddingSize,
			dpRank: this.#options.dpRank ?? 0,
		});
		const hasher = await this.#hashers.get(null, null);
		const { loop, pooling = "mean" } = this.#usable();
		return embed(request, context, { loop, hasher, pooling: this.#options.embeddingPooling ?? pooling });
	}

	get lora(): LoraAdapters | undefined {
		return this.#loaded?.adapters ?? undefined;
	}

	kvEvents(): AsyncIterable<KvEvent> {
		return this.#kvEvents.subscribe();
	}

	load(): readonly EngineLoad[] {
		const { active, cached, total } = this.#loaded?.pool.stats ?? { active: 0, cached: 0, total: 0 };
		const { promptTokens = 0, cachedTokens = 0 } = this.#loaded?.scheduler.prefixReuse ?? {};
		return [
			{
				dpRank: this.#options.dpRank ?? 0,
				runningSequences: this.#loaded?.scheduler.running ?? 0,
				waitingSequences: this.#loaded?.scheduler.waiting ?? 0,
				activeKvBlocks: active,
				cachedKvBlocks: cached,
				totalKvBlocks: total,
				...(promptTokens > 0 ? { kvCacheHitRate: cachedTokens / promptTokens } : {}),
			},
		];
	}

	health(): EngineHealth {
		if (this.#closing) return { status: "dead", reason: "the engine is closed" };
		const { death, sinceProgressMs: sinceMs } = this.#loaded?.loop ?? { death: null, sinceProgressMs: 0 };
		if (death) return { status: "dead", reason: death.rawMessage };
		return sinceMs > STALL_MS ? { status: "stalled", sinceMs } : { status: "healthy" };
	}

	async drain(): Promise<void> {
		this.#draining = true;
		await this.#loaded?.loop.idle();
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close(): Promise<void> {
		const opened = await this.#opening?.catch(() => null);
		await this.#loaded?.loop.stop();
		this.#loaded?.handoff?.close();
		this.#kvEvents.end();
		await opened?.speculation?.drafter.close();
		await opened?.grammars?.texts.close();
		await opened?.backend.close();
	}

	get #features(): readonly RequestFeature[] {
		return [
			...FEATURES,
			...(this.#loaded?.grammars ? GUIDED_FEATURES : []),
			...(this.#loaded?.adapters ? (["lora"] as const) : []),
			...(this.#loaded?.backend.info.scoresPrompts ? (["prompt_logprobs"] as const) : []),
			...(this.#options.createHandoff ? (["prefill", "decode"] as const) : []),
		];
	}

	#usable(): Loaded {
		if (this.#closing || !this.#loaded) throw new DynError("UNAVAILABLE", "the engine is not running");
		if (this.#loaded.loop.death) throw this.#loaded.loop.death;
		if (this.#draining) throw new DynError("DRAINING", "the engine is draining and takes no new requests");
		return this.#loaded;
	}

	/** Queues a request, or that part of it which is to be done here. */
	async #begin(
		request: GenerateRequest,
		context: RequestContext,
	): Promise<AsyncIterator<EngineOutput, undefined>> {
		const { disaggregation } = request;
		const { handoff } = this.#usable();
		if (!handoff || !disaggregation) return this.#accept(request, context);
		const hasher = await this.#hashers.get(request.routing.cacheSalt, request.lora);
		return handoff.begin(request, disaggregation, hasher, {
			accept: (part) => this.#accept(part, context),
			signal: context.signal,
		});
	}

	/** Checks a request and queues it. */
	async #accept(request: GenerateRequest, context: RequestContext): Promise<DeltaQueue> {
		const { spec, limits } = this.#usable();
		const { sampling, ...valid } = validateRequest(
			request,
			spec,
			limits.contextLength,
			this.#options.dpRank ?? 0,
			this.#features,
		);
		const processors = Array.from({ length: sampling.choices }, () => this.#createProcessors(request));
		const ends = [...valid.eosTokenIds, ...valid.stopTokenIds];
		const adapter = request.lora === null ? null : this.#usable().adapters!.use(request.lora);
		const prepare = async () => ({
			hasher: await this.#hashers.get(request.routing.cacheSalt, request.lora),
			guides: request.guided
				? await openGuides(this.#usable(), request, sampling, ends, () => this.#usable())
				: [],
			loop: this.#usable().loop,
		});
		const { hasher, guides, loop } = await prepare().catch((error: unknown) => {
			adapter?.release();
			throw error;
		});

		return queueRequest(request, context, { loop, hasher, valid, sampling, processors, guides, adapter });
	}

	#createProcessors(request: GenerateRequest): NamedProcessor[] {
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

	#report({ plan, passes, promptRows, generatedTokens, elapsedMs }: StepReport): void {
		const { scheduler, pool, metrics, speculator } = this.#loaded!;
		const guesses = speculator?.stats ?? NO_GUESSES;
		this.#iteration++;
		metrics.step(generatedTokens, plan.preempted.length, guesses);
		const { active, total } = pool.stats;
		try {
			this.#options.onIteration?.({
				iteration: this.#iteration,
				rows:
					passes * plan.shares.reduce((sum, { count, guesses }) => sum + count + (guesses?.length ?? 0), 0),
				promptRows,
				generatedTokens,
				runningSequences: scheduler.running,
				waitingSequences: scheduler.waiting,
				kvCacheUtilization: active / total,
				preemptions: scheduler.preemptions,
				...scheduler.prefixReuse,
				draftTokens: guesses.guessed,
				acceptedDraftTokens: guesses.accepted,
				elapsedMs,
				dpRank: this.#options.dpRank ?? 0,
			});
		} catch (error) {
			this.#logger.error("onIteration threw", { error });
		}
	}
}

function toMiB(bytes: number): number {
	return Math.round(bytes / 2 ** 20);
}
