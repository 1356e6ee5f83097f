// SPDX-License-Identifier: Apache-2.0
import { consoleDirectory } from "@dyn/console";
import { createFrontend } from "@dyn/frontend";
import { createRuntime } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import type { Values } from "../options/assemble.js";
import { untilSignal } from "../terminal/shutdown.js";
import { terminalLogger } from "../terminal/terminal.js";

/** The frontend alone. Discovery is of this process until a shared one is configured. */
export async function frontend(values: Values): Promise<number> {
	const logger = terminalLogger(values);
	const metrics = createPrometheusMetrics();
	const runtime = await createRuntime({ logger, metrics });
	const started = await createFrontend({
		runtime,
		logger,
		metrics,
		host: (values["httpHost"] as string | undefined) ?? "127.0.0.1",
		port: (values["httpPort"] as number | undefined) ?? 8000,
		apiKeys: (values["apiKeys"] as readonly string[] | undefined) ?? [],
		staticDirectory: consoleDirectory,
		limits:
			values["bodyLimitMb"] === undefined ? {} : { bodyBytes: (values["bodyLimitMb"] as number) * 2 ** 20 },
	});
	logger.warn("discovery is in this process only: no worker can be seen from here; use run to serve a model");
	process.stdout.write(`frontend at ${started.address}\n`);
	const close = async () => {
		await started.close();
		await runtime.close();
	};
	const drain = async () => {
		await started.drain();
		await runtime.close();
	};
	return untilSignal(drain, close, (values["drainSeconds"] as number | undefined) ?? 600, logger);
}
