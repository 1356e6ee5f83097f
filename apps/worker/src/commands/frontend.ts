// SPDX-License-Identifier: Apache-2.0
import { consoleDirectory } from "@dyn/console";
import { createFrontend } from "@dyn/frontend";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { joinDeployment } from "../options/deployment.js";
import { openTelemetry } from "../options/telemetry.js";
import type { Values } from "../options/values.js";
import { untilSignal } from "../terminal/shutdown.js";
import { terminalLogger } from "../terminal/terminal.js";

/** The frontend alone, for the workers of its deployment. */
export async function frontend(values: Values): Promise<number> {
	const logger = terminalLogger(values);
	const metrics = createPrometheusMetrics();
	const telemetry = await openTelemetry(values, logger);
	const { tracer } = telemetry;
	const deployment = await joinDeployment(values, {
		logger: logger.child({ target: "dyn::runtime" }),
		metrics,
		tracer,
	});
	const started = await createFrontend({
		runtime: deployment.runtime,
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
	process.stdout.write(`frontend at ${started.address}\n`);
	const close = async () => {
		await started.close();
		await deployment.close();
		await telemetry.close();
	};
	const drain = async () => {
		await started.drain();
		await deployment.close();
		await telemetry.close();
	};
	return untilSignal(drain, close, (values["drainSeconds"] as number | undefined) ?? 600, logger);
}
