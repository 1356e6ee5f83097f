// SPDX-License-Identifier: Apache-2.0
import { type Logger, noTracer, type Tracer } from "@dyn/common";
import type { Values } from "./values.js";

/** A tracer and what ends it. */
export interface Telemetry {
	readonly tracer: Tracer;
	/** Sends what waits, within a time limit. Idempotent; never throws. */
	close(): Promise<void>;
}

/** Opens the export of traces as the options say. OpenTelemetry is loaded only when it is asked for. */
export async function openTelemetry(values: Values, logger: Logger): Promise<Telemetry> {
	if (values["otelExport"] !== true) return { tracer: noTracer, close: async () => {} };
	const { createOtelTracer } = await import("@dyn/runtime/telemetry");
	const text = (name: string) => values[name] as string | undefined;
	const endpoint = text("otlpEndpoint");
	const tracesEndpoint = text("otlpTracesEndpoint");
	const serviceName = text("otelServiceName");
	const sampleRatio = values["tracesSampleRatio"] as number | undefined;
	const tracer = await createOtelTracer({
		...(endpoint === undefined ? {} : { endpoint }),
		...(tracesEndpoint === undefined ? {} : { tracesEndpoint }),
		...(serviceName === undefined ? {} : { serviceName }),
		...(sampleRatio === undefined ? {} : { sampleRatio }),
		logger,
	});
	return { tracer, close: () => tracer.close() };
}
