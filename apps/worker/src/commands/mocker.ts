// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { invalidArgument, type Logger, noTracer } from "@dyn/common";
import { createMockerEngine, type MockerEngineOptions } from "@dyn/mocker";
import { formatEndpointPath, parseEndpointPath } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { createTrtllmWorker, type DisaggregationMode } from "@dyn/trtllm";
import { openModelStore } from "../options/assemble.js";
import { joinDeployment } from "../options/deployment.js";
import type { Values } from "../options/values.js";
import { untilSignal } from "../terminal/shutdown.js";
import { terminalLogger } from "../terminal/terminal.js";

interface Running {
	drain(): Promise<void>;
	close(): Promise<void>;
	readonly closed: Promise<void>;
}

/** Workers with a simulated engine, found by the frontends of their deployment; or, with --serve, a simulated engine server. */
export async function mocker(values: Values): Promise<number> {
	const logger = terminalLogger(values);
	const running =
		values["serve"] === undefined ? await startWorkers(values, logger) : await serveEngine(values, logger);
	const all = (act: (each: Running) => Promise<void>) => async () => {
		await Promise.all(running.map(act));
	};
	const someClosed = Promise.race(running.map(({ closed }) => closed));
	return untilSignal(
		all((each) => each.drain()),
		all((each) => each.close()),
		600,
		logger,
		someClosed,
	);
}

/** As many workers as were asked for, each with a runtime of its own. When one fails, the others are closed. */
async function startWorkers(values: Values, logger: Logger): Promise<Running[]> {
	const modelStore = openModelStore(values, logger);
	const { path } = await modelStore.resolve((values["model"] as string | undefined) ?? DEFAULT_MODEL, {
		pull: true,
	});
	const vocabSize = await vocabSizeOf(path);
	const running: Running[] = [];
	try {
		for (let i = 0; i < ((values["numWorkers"] as number | undefined) ?? 1); i++)
			running.push(await startWorker(values, logger, { modelStore, vocabSize }));
	} catch (error) {
		await Promise.all(running.map((each) => each.close()));
		throw error;
	}
	return running;
}

const DEFAULT_MODEL = "smollm2-135m-instruct";

async function startWorker(
	values: Values,
	logger: Logger,
	{
		modelStore,
		vocabSize,
	}: { readonly modelStore: ReturnType<typeof openModelStore>; readonly vocabSize: number | undefined },
): Promise<Running> {
	const metrics = createPrometheusMetrics();
	const deployment = await joinDeployment(values, {
		logger: logger.child({ target: "dyn::runtime" }),
		metrics,
		tracer: noTracer,
	});
	const endpoint = values["endpoint"] as string | undefined;
	const path = endpoint?.includes(".")
		? parseEndpointPath(endpoint)
		: {
				endpoint,
				namespace: values["namespace"] as string | undefined,
				component: values["component"] as string | undefined,
			};
	try {
		const worker = await createTrtllmWorker({
			...path,
			runtime: deployment.runtime,
			logger: logger.child({ target: "dyn::engine" }),
			metrics,
			modelStore,
			model: (values["model"] as string | undefined) ?? DEFAULT_MODEL,
			servedModelName: values["servedModelName"] as string | undefined,
			disaggregationMode: values["disaggregationMode"] as DisaggregationMode | undefined,
			engine: createMockerEngine({ ...engineOptions(values), vocabSize, metrics, logger }),
			publishKvEvents: true,
			publishMetrics: true,
		});
		process.stdout.write(
			`${worker.card.name} is served as ${formatEndpointPath(worker.served.instance.path)} (${worker.info.description})\n`,
		);
		const graceMs = ((values["graceSeconds"] as number | undefined) ?? 5) * 1000;
		const close = async () => {
			await worker.close();
			await deployment.close();
		};
		const drain = async () => {
			await worker.drain({ graceMs });
			await close();
		};
		return { drain, close, closed: worker.closed };
	} catch (error) {
		await deployment.close();
		throw error;
	}
}

async function serveEngine(values: Values, logger: Logger): Promise<Running[]> {
	const { host, port } = parseAddress((values["listen"] as string | undefined) ?? "127.0.0.1:50051");
	const modelName = (values["servedModelName"] ?? values["model"]) as string | undefined;
	const engine = { ...engineOptions(values), modelName, logger };
	const double = await openDouble(values, engine, host, port);
	process.stdout.write(
		`${double.info.model} is served as ${values["serve"]} at ${double.address} (${double.info.description})\n`,
	);
	const drain = async () => {
		await double.engine.drain();
		await double.close();
	};
	return [{ drain, close: () => double.close(), closed: new Promise(() => {}) }];
}

async function openDouble(values: Values, options: MockerEngineOptions, host: string, port: number) {
	if (values["serve"] === "http") {
		const { createHttpDouble } = await import("@dyn/mocker/http");
		const double = await createHttpDouble({ engine: options, host, port });
		return { ...double, address: double.url };
	}
	const engine = createMockerEngine(options);
	if (values["serve"] === "smg") {
		const { createSmgDouble } = await import("@dyn/mocker/smg");
		return createSmgDouble({ engine, host, port });
	}
	const { createTrtllmDouble } = await import("@dyn/mocker/openengine");
	const mode = (values["disaggregationMode"] as "agg" | "prefill" | "decode" | undefined) ?? "agg";
	return createTrtllmDouble({
		engine,
		personality: values["personality"] as "trtllm" | "strict" | undefined,
		quirks: options.maxModelLen === undefined ? {} : { noContextLength: false },
		role: mode === "agg" ? "aggregated" : mode,
		host,
		port,
	});
}

function engineOptions(values: Values): MockerEngineOptions {
	const number = (name: string) => values[name] as number | undefined;
	const startupSeconds = number("startupTime");
	return {
		speedupRatio: number("speedupRatio"),
		decodeSpeedupRatio: number("decodeSpeedupRatio"),
		numGpuBlocks: number("numGpuBlocks"),
		blockSize: number("blockSize"),
		maxModelLen: number("maxModelLen"),
		maxNumSeqs: number("maxNumSeqs"),
		maxNumBatchedTokens: number("maxNumBatchedTokens"),
		dpSize: number("dataParallelSize"),
		startupTimeMs: startupSeconds === undefined ? undefined : startupSeconds * 1000,
	};
}

/** So that prompts and answers have the tokens of the tokenizer. A folder needs no weights. */
async function vocabSizeOf(path: string): Promise<number | undefined> {
	if (path.endsWith(".gguf")) {
		const { loadModelWeights } = await import("@dyn/trtllm-native");
		return (await loadModelWeights(path)).spec.vocabSize;
	}
	const text = await readFile(join(path, "config.json"), "utf8").catch(() => null);
	const size = text === null ? undefined : (JSON.parse(text) as { vocab_size?: unknown }).vocab_size;
	return typeof size === "number" ? size : undefined;
}

function parseAddress(text: string): { host: string; port: number } {
	const [, host, port] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
	if (port === undefined || Number(port) > 65_535)
		throw invalidArgument("--listen", `--listen must be HOST:PORT, got ${JSON.stringify(text)}`);
	return { host: host ?? "127.0.0.1", port: Number(port) };
}
