// SPDX-License-Identifier: Apache-2.0
import { homedir } from "node:os";
import { join } from "node:path";
import { createStatusServer, formatEndpointPath, type StatusServer } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { forwardEngineMetrics, serveLoraEndpoints, type TrtllmWorker } from "@dyn/trtllm";
import { startWorker } from "../options/assemble.js";
import { joinDeployment } from "../options/deployment.js";
import { loraControlOf } from "../options/lora-control.js";
import { openTelemetry } from "../options/telemetry.js";
import type { Values } from "../options/values.js";
import { ShutdownSignals, startUnlessSignalled, untilSignal } from "../terminal/shutdown.js";
import { terminalLogger } from "../terminal/terminal.js";

/** A worker without HTTP, found by the frontends of its deployment. */
export async function worker(values: Values): Promise<number> {
	let started: TrtllmWorker | null = null;
	const control = loraControlOf(values, () => started);
	const logger = terminalLogger(values);
	const metrics = createPrometheusMetrics();
	const telemetry = await openTelemetry(values, logger);
	const { tracer } = telemetry;
	const deployment = await joinDeployment(values, {
		logger: logger.child({ target: "dyn::runtime" }),
		metrics,
		tracer,
	});
	const files = new Map<string, string>();
	const endpoints = (): Record<string, boolean> =>
		started ? { [formatEndpointPath(started.served.instance.path)]: started.healthy } : {};
	// Before the model: the port that serves its files is named in its card.
	const engineMetrics = values["engineMetricsUrl"] as string | undefined;
	const shown = engineMetrics === undefined ? metrics : forwardEngineMetrics(metrics, engineMetrics, logger);
	const status = await openStatusServer(values, { metrics: shown, endpoints, files, control });
	const signals = new ShutdownSignals();
	let loras: { close(): Promise<void> } | null = null;
	const close = async () => {
		await loras?.close();
		await started?.close();
		await deployment.close();
		await status?.close();
		await telemetry.close();
	};
	const start = async (signal: AbortSignal) => {
		started = await startWorker(values, {
			runtime: deployment.runtime,
			logger: logger.child({ target: "dyn::engine" }),
			metrics,
			tracer,
			signal,
			metadata: {
				cacheDirectory: join(homedir(), ".cache", "dyn", "model-files"),
				baseUrl: status?.address,
				files,
			},
		});
		if (control) loras = await serveLoraEndpoints(started);
		return started;
	};
	const worker = await startUnlessSignalled(start, close, signals, logger);
	if (!worker) return 0;
	process.stdout.write(
		`${worker.card.name} is served as ${formatEndpointPath(worker.served.instance.path)} (${worker.info.description})${status ? `, status at ${status.address}/health` : ""}\n`,
	);
	const drain = async () => {
		await worker.drain({ graceMs: ((values["graceSeconds"] as number | undefined) ?? 5) * 1000 });
		await close();
	};
	return untilSignal(drain, close, 600, logger, worker.closed, signals);
}

function openStatusServer(
	values: Values,
	served: Pick<Parameters<typeof createStatusServer>[0], "metrics" | "endpoints" | "files" | "control">,
): Promise<StatusServer> | null {
	const port = (values["systemPort"] as number | undefined) ?? -1;
	return port < 0
		? null
		: createStatusServer({ host: (values["tcpHost"] as string | undefined) ?? "127.0.0.1", port, ...served });
}
