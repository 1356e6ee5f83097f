// SPDX-License-Identifier: Apache-2.0
import {
	type Clock,
	type Logger,
	type Metrics,
	noMetrics,
	silentLogger,
	systemClock,
	type Tracer,
} from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { LogitsProcessorFactory } from "@dyn/logits";
import { createModelStore, DEFAULT_MODEL, type ModelStore } from "@dyn/models/store";
import type { GenerateRequest, ModelCard, ModelFiles } from "@dyn/protocols";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createCanary, createRuntime, type Runtime } from "@dyn/runtime";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { cardFiles, type MetadataOptions } from "./card/card-files.js";
import { embeddedEngineArgs } from "./engine-args/embedded-engine-args.js";
import { type EngineArgs, mergeEngineArgs } from "./engine-args/merge-engine-args.js";
import { aggregatedHandler } from "./handlers/aggregated-handler.js";
import { applyMiddleware, type Handler, type HandlerMiddleware } from "./handlers/handler.js";
import { traceGeneration } from "./handlers/trace-generation.js";
import { touchCanary } from "./health/canary-traffic.js";
import { healthCheckPayload } from "./health/health-check-payload.js";
import { ServingWorker, type TrtllmWorker } from "./trtllm-worker.js";

export interface TrtllmWorkerOptions {
	/** Folder, GGUF file, id of a packaged model or org/name. Default: smollm2-135m-instruct. */
	readonly model?: string | undefined;
	/** "embedded" (default), or an engine of your own; the worker closes it, also when creating the worker fails. */
	readonly engine?: "embedded" | Engine | undefined;
	/** Where model names are looked up, pulled if need be. Default: the user's store. */
	readonly modelStore?: ModelStore | undefined;
	/** The `model` of client requests. Default: the model's id. */
	readonly servedModelName?: string | undefined;
	/** Folder or GGUF file whose tokenizer and template to use instead of the model's. */
	readonly tokenizerPath?: string | undefined;
	readonly chatTemplatePath?: string | undefined;
	/** Lets frontends on other machines serve the model: its card names tokenizer and template. Default: it does not. */
	readonly metadata?: MetadataOptions | undefined;
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
	/** Gets a span of each generation. Default: none. */
	readonly tracer?: Tracer | undefined;
	/** Aborting gives up the creation, a download included. */
	readonly signal?: AbortSignal | undefined;
}

/**
 * Loads a model, serves it as an endpoint of a runtime and publishes its card, so that a frontend of the same runtime
 * finds it. When a step fails, what the earlier ones made is closed.
 * @throws DynError of the model store, the checkpoint or the engine; INVALID_ARGUMENT for a bad name; the reason of
 * `signal` when it aborts
 */
export async function createTrtllmWorker(options: TrtllmWorkerOptions = {}): Promise<TrtllmWorker> {
	const logger = options.logger ?? silentLogger;
	const made: (() => Promise<unknown>)[] = [];
	try {
		return await assemble(options, logger, made);
	} catch (error) {
		for (const close of made.reverse())
			await close().catch((problem) => logger.warn("could not close after a failure", { error: problem }));
		throw error;
	}
}

/** @param made gets a way to close each thing that was made */
async function assemble(
	options: TrtllmWorkerOptions,
	logger: Logger,
	made: (() => Promise<unknown>)[],
): Promise<TrtllmWorker> {
	const { signal } = options;
	if (typeof options.engine === "object") made.push(() => (options.engine as Engine).close());
	const runtime =
		options.runtime ??
		(await createRuntime({
			logger,
			...(options.metrics ? { metrics: options.metrics } : {}),
			...(options.tracer ? { tracer: options.tracer } : {}),
		}));
	if (!options.runtime) made.push(() => runtime.close());
	// Names are checked before anything slow begins.
	const endpoint = runtime.endpoint({
		namespace: options.namespace ?? "dynamo",
		component: options.component ?? "backend",
		endpoint: options.endpoint ?? "generate",
	});
	const store = options.modelStore ?? createModelStore({ logger });
	const model = await store.resolve(options.model ?? DEFAULT_MODEL, {
		pull: true,
		...(signal ? { signal } : {}),
	});
	signal?.throwIfAborted();
	const name = options.servedModelName ?? model.id;
	const { metadata } = options;
	const files = metadata ? await cardFiles(model.path, name, endpoint.path, metadata, options) : null;
	let { engine = "embedded" } = options;
	if (engine === "embedded") {
		const embedded = embeddedEngine(model.path, name, options, logger);
		made.push(() => embedded.close());
		engine = embedded;
	}
	const info = await engine.start();
	signal?.throwIfAborted();

	const handler = applyMiddleware((options.handler ?? aggregatedHandler)(engine), [
		...(options.tracer ? [traceGeneration(options.tracer)] : []),
		...(options.middleware ?? []),
	]);
	const canary =
		options.canaryWaitMs === undefined
			? null
			: createCanary({
					handler: (payload, context) => handler.generate(payload as GenerateRequest, { ...context, logger }),
					payload: healthCheckPayload(1),
					waitMs: options.canaryWaitMs,
					logger,
				});
	if (canary) made.push(async () => canary.close());
	const served = await endpoint.serve(
		(request, context) => {
			const answer = handler.generate(request as GenerateRequest, context);
			return canary ? touchCanary(answer, canary) : answer;
		},
		{ codec: generateCodec },
	);
	made.push(() => served.close());
	const card = modelCard(name, model.path, files, info, engine, options);
	const registration = await runtime.models.publish(card, served.instance);
	return new ServingWorker({
		engine,
		info,
		card,
		runtime,
		served,
		handler,
		canary,
		withdraw: () =>
			registration
				.withdraw()
				.catch((error) => logger.warn("model card stays in discovery until its lease ends", { error })),
		ownsRuntime: options.runtime === undefined,
		logger,
	});
}

function modelCard(
	name: string,
	modelPath: string,
	files: ModelFiles | null,
	info: EngineInfo,
	engine: Engine,
	options: TrtllmWorkerOptions,
): ModelCard {
	return {
		name,
		source: options.tokenizerPath ?? options.model ?? DEFAULT_MODEL,
		tokenizerPath: options.tokenizerPath ?? modelPath,
		files,
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
		maxChoices: info.capabilities.maxChoices,
		workerType: "aggregated",
		needs: [],
		createdSeconds: Math.floor((options.clock ?? systemClock).wallMs() / 1000),
	};
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
