// SPDX-License-Identifier: Apache-2.0
import { type Logger, silentLogger, type Tracer } from "@dyn/common";
import { collectorUrl } from "./collector-url.js";
import { loadOtel, type Otel } from "./load-otel.js";
import { OtelSpan, present, toSpanContext } from "./otel-span.js";
import { reportingExporter } from "./reporting-exporter.js";

/** Most spans of one export, and time until a smaller one is sent, ms (OpenTelemetry's defaults). */
const BATCH_SPANS = 512;
const BATCH_DELAY_MS = 5000;
/** Time for one export with its retries, ms: short, so that a collector that is away holds nobody up at the end. */
const EXPORT_TIMEOUT_MS = 2000;

export interface OtelTracerOptions {
	/** Base address of a collector that takes OTLP over HTTP; spans go to its `/v1/traces`. Default http://localhost:4318. */
	readonly endpoint?: string;
	/** Where spans go, in full; wins over `endpoint`. */
	readonly tracesEndpoint?: string;
	/** `service.name` of the spans. Default "dynamo". */
	readonly serviceName?: string;
	/** Share of traces that are kept, 0 to 1. A trace that somebody else began is kept if they keep it. Default 1. */
	readonly sampleRatio?: number;
	/** Spans that wait for the collector, at most; more are dropped. Default 2048. */
	readonly maxQueuedSpans?: number;
	/** How long `close` waits for the collector, ms. Default 2000. */
	readonly closeTimeoutMs?: number;
	readonly logger?: Logger;
}

export interface OtelTracer extends Tracer {
	/** Sends what waits, within the time limit. Never throws. Idempotent. */
	close(): Promise<void>;
}

/**
 * A tracer over OpenTelemetry that sends spans in batches, as OTLP in JSON over HTTP. A collector that is slow or away
 * costs spans and nothing else. Nothing is registered globally: several tracers live side by side.
 * @throws DynError UNIMPLEMENTED when OpenTelemetry is not installed, INVALID_ARGUMENT for an unusable address
 */
export async function createOtelTracer(options: OtelTracerOptions = {}): Promise<OtelTracer> {
	const url = collectorUrl(options.endpoint, options.tracesEndpoint);
	const otel = await loadOtel();
	const provider = createProvider(otel, url, options);
	const { api } = otel;
	const tracer = provider.getTracer("dyn");
	const kinds = { server: api.SpanKind.SERVER, internal: api.SpanKind.INTERNAL };
	let closing: Promise<void> | null = null;
	return {
		start(name, { parent = null, kind = "internal", attributes = {}, links = [] } = {}) {
			const remote = parent && toSpanContext(parent, api);
			const context = remote ? api.trace.setSpanContext(api.ROOT_CONTEXT, remote) : api.ROOT_CONTEXT;
			const settings = {
				kind: kinds[kind],
				attributes: present(attributes),
				links: links.flatMap((link) => {
					const context = toSpanContext(link, api);
					return context ? [{ context }] : [];
				}),
			};
			return new OtelSpan(tracer.startSpan(name, settings, context), api.SpanStatusCode.ERROR);
		},
		close() {
			// What fails here was logged by the exporter.
			closing ??= within(options.closeTimeoutMs ?? 2000, provider.shutdown()).catch(() => {});
			return closing;
		},
	};
}

function createProvider({ sdk, resources, exporter }: Otel, url: string, options: OtelTracerOptions) {
	const { BasicTracerProvider, BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler } = sdk;
	const otlp = new exporter.OTLPTraceExporter({ url, timeoutMillis: EXPORT_TIMEOUT_MS });
	const maxQueueSize = options.maxQueuedSpans ?? 2048;
	return new BasicTracerProvider({
		resource: resources.resourceFromAttributes({ "service.name": options.serviceName ?? "dynamo" }),
		sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sampleRatio ?? 1) }),
		spanProcessors: [
			new BatchSpanProcessor(reportingExporter(otlp, url, options.logger ?? silentLogger), {
				maxQueueSize,
				maxExportBatchSize: Math.min(BATCH_SPANS, maxQueueSize),
				scheduledDelayMillis: BATCH_DELAY_MS,
				// Longer than the exporter's own limit, which ends it.
				exportTimeoutMillis: 2 * EXPORT_TIMEOUT_MS,
			}),
		],
	});
}

/** Resolves with `work` or after `ms`, whichever is first. */
function within(ms: number, work: Promise<unknown>): Promise<void> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(resolve, ms);
		work.then(() => resolve(), reject).finally(() => clearTimeout(timer));
	});
}
