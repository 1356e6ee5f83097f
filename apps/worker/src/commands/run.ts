// SPDX-License-Identifier: Apache-2.0
import { consoleDirectory } from "@dyn/console";
import { createFrontend } from "@dyn/frontend";
import { createRuntime, createStatusServer, formatEndpointPath, type StatusServer } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import type { TrtllmWorker } from "@dyn/trtllm";
import { startWorker } from "../options/assemble.js";
import { loraControlOf } from "../options/lora-control.js";
import { openTelemetry } from "../options/telemetry.js";
import type { Values } from "../options/values.js";
import { ShutdownSignals, startUnlessSignalled, untilSignal } from "../terminal/shutdown.js";
import { terminalLogger, usesColour } from "../terminal/terminal.js";

/** Worker and frontend in one process. */
export async function run(values: Values): Promise<number> {
	let served: TrtllmWorker | null = null;
	const control = loraControlOf(values, () => served);
	const logger = terminalLogger(values, "warn");
	const metrics = createPrometheusMetrics();
	const telemetry = await openTelemetry(values, logger);
	const { tracer } = telemetry;
	const runtime = await createRuntime({
		logger: logger.child({ target: "dyn::runtime" }),
		metrics,
		tracer,
	});
	// The port first: when it is taken, nobody should wait for a model to learn that.
	const frontend = await createFrontend({
		runtime,
		logger: logger.child({ target: "dyn::frontend" }),
		metrics,
		tracer,
		host: (values["httpHost"] as string | undefined) ?? "127.0.0.1",
		port: (values["httpPort"] as number | undefined) ?? 8000,
		apiKeys: (values["apiKeys"] as readonly string[] | undefined) ?? [],
		staticDirectory: consoleDirectory,
		limits:
			values["bodyLimitMb"] === undefined ? {} : { bodyBytes: (values["bodyLimitMb"] as number) * 2 ** 20 },
		migration: values["migrationLimit"] === undefined ? {} : { limit: values["migrationLimit"] as number },
	});
	const signals = new ShutdownSignals();
	let status: StatusServer | null = null;
	const close = async () => {
		await frontend.close();
		await served?.close();
		await runtime.close();
		await status?.close();
		await telemetry.close();
	};
	const start = (signal: AbortSignal) =>
		startWorker(values, {
			runtime,
			logger: logger.child({ target: "dyn::engine" }),
			metrics,
			tracer,
			signal,
		});
	const worker = await startUnlessSignalled(start, close, signals, logger);
	if (!worker) return 0;
	served = worker;
	const systemPort = (values["systemPort"] as number | undefined) ?? -1;
	status =
		systemPort < 0
			? null
			: await createStatusServer({
					port: systemPort,
					metrics,
					control,
					endpoints: () => ({ [formatEndpointPath(worker.served.instance.path)]: worker.healthy }),
				});
	await frontend.ready;

	const bold = usesColour(process.stdout)
		? (text: string) => `\u001b[1m${text}\u001b[0m`
		: (text: string) => text;
	process.stdout.write(
		[
			"",
			`  ${bold(worker.card.name)} is served at ${bold(frontend.address)}`,
			"",
			`  engine   ${worker.info.description}, context ${worker.info.contextLength}`,
			`  chat     ${frontend.address}/ in a browser`,
			`  API      curl ${frontend.address}/v1/chat/completions -H 'content-type: application/json' \\`,
			`             -d '{"model":"${worker.card.name}","messages":[{"role":"user","content":"Hello!"}]}'`,
			...(status ? [`  status   ${status.address}/health`] : []),
			"",
			"  Ctrl-C stops it.",
			"",
			"",
		].join("\n"),
	);

	const drain = async () => {
		await frontend.drain();
		await worker.drain();
		await close();
	};
	return untilSignal(
		drain,
		close,
		(values["drainSeconds"] as number | undefined) ?? 600,
		logger,
		worker.closed,
		signals,
	);
}
