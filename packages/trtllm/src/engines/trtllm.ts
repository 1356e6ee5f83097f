// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { createServer } from "node:net";
import type { Logger } from "@dyn/common";
import type { Engine, RequestFeature } from "@dyn/engine";
import { mergeEngineArgs } from "../engine-args/merge-engine-args.js";
import { assertServeConfiguration, checkServeConfiguration } from "../serve/check-serve-configuration.js";
import { type InstalledEngine, probeEngine } from "../serve/probe-engine.js";
import { serveArguments } from "../serve/serve-arguments.js";
import type { ServeOptions } from "../serve/serve-options.js";
import { createTrtllmServe } from "../serve/trtllm-serve.js";
import type { TrtllmWorkerOptions } from "../worker-options.js";
import { createAdapterControl } from "./trtllm/adapter-control.js";
import type { LaunchHooks } from "./trtllm/engine-lives.js";
import { modelFacts } from "./trtllm/model-facts.js";
import { createOpenEngineControl } from "./trtllm/openengine-control.js";
import { TrtllmServeEngine } from "./trtllm-serve-engine.js";

/**
 * TensorRT-LLM behind one of its protocols: started and looked after, or one that runs already.
 * @throws DynError INVALID_ARGUMENT for a configuration that cannot work, with what to change; NOT_FOUND without TensorRT-LLM
 */
export async function trtllmEngine(
	modelPath: string,
	modelName: string,
	options: TrtllmWorkerOptions,
	logger: Logger,
): Promise<Engine> {
	const { trtllm = {}, disaggregationMode: mode = "agg", signal } = options;
	const { environment = {}, grpcEndpoint, serve } = trtllm;
	const protocol = serve?.protocol ?? "openengine";
	const launched = grpcEndpoint === undefined ? await prepare(modelPath, options, logger) : null;
	const facts = await modelFacts(modelPath);
	const rules = {
		mode,
		protocol,
		guidedDecodingBackend: launched
			? (launched.command.engineArgs["guided_decoding_backend"] as ServeOptions["guidedDecodingBackend"])
			: serve?.guidedDecodingBackend,
		conversationAffinity: trtllm.conversationAffinity,
		allowGreedyChoices: environment["TLLM_ALLOW_N_GREEDY_DECODING"] === "1",
	};
	const reach = {
		endpoint: grpcEndpoint ?? launched!.endpoint,
		rules,
		contextLength: serve?.maxSeqLen,
		...facts,
	};
	const control =
		protocol === "openengine"
			? await createOpenEngineControl({ ...reach, modelName, logger, metrics: options.metrics })
			: createAdapterControl({
					...reach,
					protocol,
					features: serverFeatures(options),
					kvEvents: options.publishKvEvents ?? false,
					logger,
					metrics: options.metrics,
				});
	const { startupDeadlineMs, stall, restartDelayMs } = trtllm;
	return new TrtllmServeEngine({
		control,
		...(launched
			? {
					launch: (hooks: LaunchHooks) =>
						createTrtllmServe({
							serve: launched.command,
							environment,
							python: launched.python,
							startupDeadlineMs,
							restartDelayMs,
							logger,
							...hooks,
						}),
				}
			: {}),
		rules,
		modelName,
		startupDeadlineMs,
		stall,
		signal,
		clock: options.clock,
		metrics: options.metrics,
		logger,
	});
}

/** What the servers of the other protocols can do because of their flags, and do not say. */
function serverFeatures({ trtllm }: TrtllmWorkerOptions): readonly RequestFeature[] {
	const { protocol, maxBeamWidth = 1, modality } = trtllm?.serve ?? {};
	return [
		...(maxBeamWidth > 1 ? (["beam_search"] as const) : []),
		...(protocol === "smg" && modality === "multimodal" ? (["image"] as const) : []),
		...(protocol === "http" ? (["conversation_id"] as const) : []),
	];
}

/** Finds the engine, checks what it is to be, and says how to start it. */
async function prepare(modelPath: string, options: TrtllmWorkerOptions, logger: Logger) {
	const { trtllm = {}, disaggregationMode } = options;
	const { environment = {}, python, serve } = trtllm;
	const installed: InstalledEngine | null = serve?.command
		? null
		: await probeEngine({ python, environment });
	const host = serve?.host ?? "127.0.0.1";
	const port = serve?.port || (await freePort(host));
	const serveOptions: ServeOptions = {
		...serve,
		model: modelPath,
		command: serve?.command ?? installed?.command,
		host,
		port,
		disaggregationMode,
		extraEngineArgs: mergeEngineArgs(
			options.engineArgs ?? {},
			{ ...options.extraEngineArgs, ...serve?.extraEngineArgs },
			{},
			logger,
		),
		overrideEngineArgs: { ...options.overrideEngineArgs, ...serve?.overrideEngineArgs },
		logitsProcessors: serve?.logitsProcessors ?? Object.keys(options.logitsProcessors ?? {}).length > 0,
		environment,
	};
	const modelFiles = await readdir(modelPath).catch(() => []);
	const findings = checkServeConfiguration(serveOptions, { ...installed, modelFiles });
	for (const { severity, code, what, fix } of findings)
		if (severity !== "error") logger[severity === "warning" ? "warn" : "debug"](what, { fix, code });
	assertServeConfiguration(findings);
	const reachable = ["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host;
	return {
		command: serveArguments(serveOptions),
		endpoint: `${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`,
		python: python ?? installed?.python,
	};
}

/** A port that nobody listens on now. Somebody may take it before the engine does, which then says so and ends. */
async function freePort(host: string): Promise<number> {
	const listener = createServer().listen(0, host);
	await once(listener, "listening");
	const { port } = listener.address() as { port: number };
	listener.close();
	await once(listener, "close");
	return port;
}
