// SPDX-License-Identifier: Apache-2.0
import { createRuntime, createStatusServer, formatEndpointPath } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { startWorker, type Values } from "../options/assemble.js";
import { untilSignal } from "../terminal/shutdown.js";
import { terminalLogger } from "../terminal/terminal.js";

/** A worker without HTTP. Discovery is of this process until a shared one is configured. */
export async function worker(values: Values): Promise<number> {
	const logger = terminalLogger(values);
	const metrics = createPrometheusMetrics();
	const runtime = await createRuntime({ logger, metrics });
	const started = await startWorker(values, { runtime, logger, metrics });
	const endpoint = formatEndpointPath(started.served.instance.path);
	const systemPort = (values["systemPort"] as number | undefined) ?? -1;
	const status =
		systemPort < 0
			? null
			: await createStatusServer({
					port: systemPort,
					metrics,
					endpoints: () => ({ [endpoint]: started.healthy }),
				});
	logger.warn(
		"discovery is in this process only: a frontend elsewhere cannot see this worker; use run to serve both together",
	);
	process.stdout.write(
		`${started.card.name} is served as ${endpoint} (${started.info.description})${status ? `, status at ${status.address}/health` : ""}\n`,
	);
	const close = async () => {
		await started.close();
		await runtime.close();
		await status?.close();
	};
	const drain = async () => {
		await started.drain();
		await close();
	};
	return untilSignal(drain, close, 600, logger);
}
