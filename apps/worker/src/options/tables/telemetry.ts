// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

/** Export of traces. Names of variables as in Dynamo and OpenTelemetry. */
export const telemetry: readonly OptionSpec[] = [
	{
		name: "otelExport",
		flags: ["otel-export"],
		env: ["OTEL_EXPORT_ENABLED"],
		type: "boolean",
		help: "Send traces to an OpenTelemetry collector",
		group: "Telemetry",
	},
	{
		name: "otlpEndpoint",
		flags: ["otlp-endpoint"],
		env: ["OTEL_EXPORTER_OTLP_ENDPOINT"],
		type: "string",
		value: "URL",
		default: "http://localhost:4318",
		help: "The collector's address for OTLP over HTTP",
		group: "Telemetry",
	},
	{
		name: "otlpTracesEndpoint",
		flags: ["otlp-traces-endpoint"],
		env: ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
		type: "string",
		value: "URL",
		help: "Where traces go, in full (default: /v1/traces of the collector)",
		group: "Telemetry",
	},
	{
		name: "otelServiceName",
		flags: ["otel-service-name"],
		env: ["OTEL_SERVICE_NAME"],
		type: "string",
		value: "NAME",
		default: "dynamo",
		help: "What this process is called in traces",
		group: "Telemetry",
	},
	{
		name: "tracesSampleRatio",
		flags: ["traces-sample-ratio"],
		env: ["OTEL_TRACES_SAMPLE_RATIO"],
		type: "number",
		range: [0, 1],
		value: "F",
		default: 1,
		help: "Share of traces to keep, of those that begin here",
		group: "Telemetry",
	},
];
