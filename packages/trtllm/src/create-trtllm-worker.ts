// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, silentLogger } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createTcpKvTransfer } from "@dyn/kvbm/transfer";
import { createModelStore, DEFAULT_MODEL } from "@dyn/models/store";
import { type GenerateRequest, isEmbedRequest } from "@dyn/protocols";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createCanary, createRuntime } from "@dyn/runtime";
import { loadAdapters } from "./adapters/adapters.js";
import { WorkerAdapters } from "./adapters/worker-adapters.js";
import { WorkerCards } from "./adapters/worker-cards.js";
import { cardFiles } from "./card/card-files.js";
import { modelCard } from "./card/model-card.js";
import { roleOf } from "./disaggregation-mode.js";
import { embeddedEngine } from "./engines/embedded.js";
import { embedAnswer } from "./handlers/embed-answer.js";
import { applyMiddleware } from "./handlers/handler.js";
import { onlyRank } from "./handlers/only-rank.js";
import { traceGeneration } from "./handlers/trace-generation.js";
import { touchCanary } from "./health/canary-traffic.js";
import { healthCheckPayload } from "./health/health-check-payload.js";
import { askThroughPrefill } from "./health/prefill-canary.js";
import { showCacheUse } from "./kv-events/cache-gauges.js";
import { createKvEventPublisher } from "./kv-events/kv-event-publisher.js";
import { kvEventsOf } from "./kv-events/kv-events-of.js";
import { Presence } from "./presence.js";
import { ServingWorker, type TrtllmWorker } from "./trtllm-worker.js";
import type { TrtllmWorkerOptions } from "./worker-options.js";

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
	const role = roleOf(options.disaggregationMode ?? "agg");
	if (options.prefillCanary && role.workerType !== "decode")
		throw new DynError("INVALID_ARGUMENT", "prefillCanary is for decode workers; leave it out");
	const endpoint = runtime.endpoint({
		namespace: options.namespace ?? "dynamo",
		component: options.component ?? role.component,
		endpoint: options.endpoint ?? "generate",
	});
	const store = options.modelStore ?? createModelStore({ logger });
	const resolve = (model: string) => store.resolve(model, { pull: true, ...(signal ? { signal } : {}) });
	const model = await resolve(options.model ?? DEFAULT_MODEL);
	signal?.throwIfAborted();
	const name = options.servedModelName ?? model.id;
	const { metadata } = options;
	const files = metadata ? await cardFiles(model.path, name, endpoint.path, metadata, options) : null;
	let { engine = "embedded" } = options;
	let closeWithEngine: { close(): Promise<unknown> } | null = null;
	if (engine === "embedded") {
		const kvTransfer = role.movesKvBlocks
			? await createTcpKvTransfer({ ...options.kvTransfer, logger })
			: null;
		if (kvTransfer) made.push(() => kvTransfer.close());
		const embedded = await embeddedEngine(
			model.path,
			name,
			options,
			logger,
			kvTransfer,
			async (draft) => (await resolve(draft)).path,
		);
		made.push(() => embedded.close());
		closeWithEngine = kvTransfer;
		engine = embedded;
	} else if (engine === "trtllm") {
		const { trtllmEngine } = await import("./engines/trtllm.js");
		const trtllm = await trtllmEngine(model.path, name, options, logger);
		made.push(() => trtllm.close());
		engine = trtllm;
	}
	const info = await engine.start();
	signal?.throwIfAborted();
	const loras = await loadAdapters(engine, options.loras ?? {}, name);

	const handler = applyMiddleware((options.handler ?? role.handler)(engine), [
		...(options.tracer ? [traceGeneration(options.tracer)] : []),
		...(options.middleware ?? []),
		...(info.dpSize === 1 ? [onlyRank] : []),
	]);
	const prefill = options.prefillCanary
		? runtime.endpoint(options.prefillCanary).client({ codec: generateCodec })
		: null;
	const canary =
		options.canaryWaitMs === undefined
			? null
			: createCanary({
					handler: (payload, context) =>
						prefill
							? askThroughPrefill(prefill, handler, payload as GenerateRequest, { ...context, logger })
							: handler.generate(payload as GenerateRequest, { ...context, logger }),
					payload: healthCheckPayload(1),
					waitMs: options.canaryWaitMs,
					logger,
				});
	if (canary) made.push(async () => canary.close());
	if (prefill) made.push(() => prefill.close());
	// Before the first request: what is not heard is never known.
	const kvEvents = options.publishKvEvents
		? await kvEventsOf({
				engine,
				info,
				endpoint: options.trtllm?.serve?.kvEventsEndpoint,
				logger,
				metrics: options.metrics,
			})
		: null;
	if (kvEvents) made.push(async () => kvEvents.stop());
	const served = await endpoint.serve(
		(request, context) => {
			if (isEmbedRequest(request)) return embedAnswer(engine, request, context);
			const answer = handler.generate(request as GenerateRequest, context);
			return canary ? touchCanary(answer, canary) : answer;
		},
		{ codec: generateCodec },
	);
	made.push(() => served.close());
	const answersQueries = role.workerType !== "decode";
	const kvEventPublisher = kvEvents
		? await createKvEventPublisher({
				runtime,
				instance: served.instance,
				dpSize: info.dpSize,
				...kvEvents,
				load: () => engine.load(),
				answersQueries,
				logger,
			})
		: null;
	if (kvEventPublisher) made.push(() => kvEventPublisher.close());
	if (options.publishMetrics && options.metrics)
		showCacheUse(options.metrics, served.instance, () => engine.load());
	const routing = kvEvents
		? { publishesKvEvents: true, ...(answersQueries ? { answersKvQueries: true } : {}) }
		: {};
	const card = modelCard({ name, modelPath: model.path, files, role, info, engine, routing }, options);
	const cards = new WorkerCards({
		card,
		adapters: loras,
		publish: (each) => runtime.models.publish(each, served.instance),
		kvEvents: kvEventPublisher,
	});
	const presence = new Presence({ served, publishCard: () => cards.publish(), logger });
	await presence.begin();
	return new ServingWorker({
		engine,
		info,
		card,
		adapters: new WorkerAdapters(engine, name, cards, logger),
		runtime,
		served,
		handler,
		canary,
		presence,
		kvEventPublisher,
		closeWithEngine: {
			close: async () => {
				await closeWithEngine?.close();
				await prefill?.close();
			},
		},
		ownsRuntime: options.runtime === undefined,
		logger,
	});
}
