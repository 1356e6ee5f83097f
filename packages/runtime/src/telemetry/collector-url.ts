// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** OTLP over HTTP listens here unless told otherwise (OpenTelemetry protocol exporter specification). */
const DEFAULT_ENDPOINT = "http://localhost:4318";

/**
 * Where spans go: `tracesEndpoint` as it is, or `endpoint` with `/v1/traces` behind its path (OpenTelemetry's rules for
 * OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_ENDPOINT).
 * @throws DynError INVALID_ARGUMENT
 */
export function collectorUrl(endpoint: string = DEFAULT_ENDPOINT, tracesEndpoint?: string): string {
	const text = tracesEndpoint ?? `${endpoint.replace(/\/+$/, "")}/v1/traces`;
	const url = URL.canParse(text) ? new URL(text) : null;
	if (url?.protocol === "http:" || url?.protocol === "https:") return url.href;
	throw new DynError(
		"INVALID_ARGUMENT",
		`the trace collector ${JSON.stringify(tracesEndpoint ?? endpoint)} is not an http:// or https:// address; give one that takes OTLP over HTTP, such as ${DEFAULT_ENDPOINT}`,
	);
}
