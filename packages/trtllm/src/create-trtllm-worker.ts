// SPDX-License-Identifier: Apache-2.0
import {
	type Clock,
	createRequestContext,
	DynError,
	type Logger,
	type Metrics,
	noMetrics,
	type RequestContext,
	silentLogger,
	systemClock,
} from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { LogitsProcessorFactory } from "@dyn/logits";
import { createModelStore, DEFAULT_MODEL, type ModelStore } from "@dyn/models/store";
import type { EngineOutput, GenerateRequest, ModelCard } from "@dyn/protocols";
import { type Canary, createCanary, createRuntime, type Runtime, type ServedEndpoint } from "@dyn/runtime";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { embeddedEngineArgs } from "./engine-args/embedded-engine-args.js";
import { type EngineArgs, mergeEngineArgs } from "./engine-args/merge-engine-args.js";
import { aggregatedHandler } from "./handlers/aggregated-handler.js";
import { applyMiddleware, type Handler, type HandlerMiddleware } from "./handlers/handler.js";
import { healthCheckPayload } from "./health/health-check-payload.js";

export interface TrtllmWorkerOptions {
	/** Folder, GGUF file, id of a packaged model or org/name. Default: smollm2-135m-instruct. */
	readonly model?: string | undefined;
	/** "embedded" (default), or an engine of your own. */
	readonly engine?: "embedded" | Engine | undefined;
	/** Where model names are looked up, pulled if need be. Default: the user's store. */
	readonly modelStore?: ModelStore | undefined;
	/** The `model` of client requests. Default: the model's id. */
	readonly servedModelName?: string | undefined;
	/** Folder or GGUF file whose tokenizer and template to use instead of the model's. */
	readonly tokenizerPath?: string | undefined;
	readonly chatTemplatePath?: string | undefined;
	/** Default: a fresh runtime in this process, closed with the worker. */
	readonly runtime?: Runtime | undefined;
	/** Default "dynamo", "backend", "generate". */
	readonly namespace?: string | undefined;
	readonly component?: string | undefined;
	readonly endpoint?: string | undefined;
	/** Arguments by TensorRT-LLM's names, such as { max_batch_size: 8, kv_cache_config: { free_gpu_memory_fraction: 0.2 } }. */
	readonly engineArgs?: EngineArgs | undefined;
	/** Merged over engineArgs: what a YAML file says. */
	readonly extraEngineArgs?: EngineArgs | undefined;
	/** Merged last. */
	readonly overrideEngineArgs?: EngineArgs | undefined;
	/** Logits processors that requests may name. */
	readonly logitsProcessors?: Readonly<Record<string, LogitsProcessorFactory>> | undefined;
	/** Replaces the built-in handler; gets the started engine. */
	readonly handler?: ((engine: Engine) => Handler) | undefined;
	/** Around the handler, outermost first. */
	readonly middleware?: readonly HandlerMiddleware[] | undefined;
	/** Silence after which a canary asks the handler whether it works, ms. Default: no canary. */
	readonly canaryWaitMs?: number | undefined;
	/** A native engine binary to load instead of the package's own. */
	readonly nativePath?: string | undefined;
	readonly clock?: Clock | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
}

export interface TrtllmWorker {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	/** The engine is alive and the canary, if any, was answered. */
	readonly healthy: boolean;
	/** Sends a request through the handler, without the request plane. */
	generate(request: GenerateRequest, context?: RequestContext): AsyncIterable<EngineOutput>;
	/** Leaves discovery, finishes what was admitted, then closes. */
	drain(): Promise<void>;
	/** Ends everything now. Idempotent. */
	close(): Promise<void>;
	readonly closed: Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}

/**
 * Loads a model, serves it as an endpoint of a runtime and publishes its card, so that a frontend of the same runtime
 * finds it.
 * @throws DynError of the model store, the checkpoint or the engine
 */
export async function createTrtllmWorker(options: TrtllmWorkerOptions = {}): Promise<TrtllmWorker> {
	const logger = options.logger ?? silentLogger;
	const wanted = options.model ?? DEFAULT_MODEL;
	const model = await (options.modelStore ?? createModelStore({ logger })).resolve(wanted, { pull: true });
	const name = options.servedModelName ?? model.id;
	const engine =
		typeof options.engine === "object" ? options.engine : embeddedEngine(model.path, name, options, logger);
	const info = await engine.start();
	const runtime =
		options.runtime ??
		(await createRuntime({ logger, ...(options.metrics ? { metrics: options.metrics } : {}) }));
	const handler = applyMiddleware((options.handler ?? aggregatedHandler)(engine), options.middleware ?? []);
	const payload = healthCheckPayload(1);
	const canary =
		options.canaryWaitMs === undefined
			? null
			: createCanary({
					handler: () => handler.generate(payload, createRequestContext({ logger })),
					payload,
					waitMs: options.canaryWaitMs,
					logger,
				});
	const path = {
		namespace: options.namespace ?? "dynamo",
		component: options.component ?? "backend",
		endpoint: options.endpoint ?? "generate",
	};
	const served = await runtime.endpoint(path).serve((request, context) => {
		canary?.touch();
		return handler.generate(request as GenerateRequest, context);
	});
	const card: ModelCard = {
		name,
		tokenizerPath: options.tokenizerPath ?? model.path,
		chatTemplatePath: options.chatTemplatePath ?? null,
		endpointTypes: ["chat", "completions"],
		contextLength: info.contextLength,
		kvBlockSize: info.kvBlockSize,
		totalKvBlocks: info.totalKvBlocks,
		maxNumSeqs: info.maxNumSeqs,
		maxNumBatchedTokens: info.maxNumBatchedTokens,
		dpSize: info.dpSize,
		eosTokenIds: info.eosTokenIds,
		logitsProcessors: engine.logitsProcessors?.names ?? [],
		logprobs: info.capabilities.logprobs,
		createdSeconds: Math.floor((options.clock ?? systemClock).wallMs() / 1000),
	};
	const registration = await runtime.models.publish(card, served.instance);
	return new Worker({
		engine,
		info,
		card,
		runtime,
		served,
		handler,
		canary,
		withdraw: () => registration.withdraw(),
		ownsRuntime: options.runtime === undefined,
	});
}

function embeddedEngine(
	modelPath: string,
	modelName: string,
	options: TrtllmWorkerOptions,
	logger: Logger,
): Engine {
	const args = mergeEngineArgs(
		options.engineArgs ?? {},
		options.extraEngineArgs ?? {},
		options.overrideEngineArgs ?? {},
		logger,
	);
	return createEmbeddedEngine({
		...embeddedEngineArgs(args),
		modelPath,
		modelName,
		nativePath: options.nativePath,
		logitsProcessors: options.logitsProcessors,
		logger,
		metrics: options.metrics ?? noMetrics,
	});
}

interface WorkerParts {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	readonly handler: Handler;
	readonly canary: Canary | null;
	readonly ownsRuntime: boolean;
	withdraw(): Promise<void>;
}

class Worker implements TrtllmWorker {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	readonly closed: Promise<void>;
	readonly #parts: WorkerParts;
	#resolveClosed!: () => void;
	#closing: Promise<void> | null = null;

	constructor(parts: WorkerParts) {
		this.#parts = parts;
		this.engine = parts.engine;
		this.info = parts.info;
		this.card = parts.card;
		this.runtime = parts.runtime;
		this.served = parts.served;
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
	}

	get healthy(): boolean {
		return this.engine.health().status === "healthy" && (this.#parts.canary?.healthy ?? true);
	}

	generate(
		request: GenerateRequest,
		context: RequestContext = createRequestContext(),
	): AsyncIterable<EngineOutput> {
		if (this.#closing) throw new DynError("UNAVAILABLE", "the worker is closed");
		return this.#parts.handler.generate(request, context);
	}

	async drain(): Promise<void> {
		await this.#parts.withdraw();
		await this.served.drain();
		await this.engine.drain();
		await this.close();
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	async #close(): Promise<void> {
		this.#parts.canary?.close();
		await this.#parts.withdraw();
		await this.served.close();
		await this.engine.close();
		if (this.#parts.ownsRuntime) await this.runtime.close();
		this.#resolveClosed();
	}
}
