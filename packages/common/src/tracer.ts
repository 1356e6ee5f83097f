// SPDX-License-Identifier: Apache-2.0
import type { TraceContext } from "./request-context.js";

/** What a span says about its work. Facts and numbers only: no prompt or completion text, ever. Null and undefined are left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface SpanOptions {
	/** The span or remote caller that this work is for. Default: the span begins a trace. */
	readonly parent?: TraceContext | null;
	/** "server": the work was asked for from outside this process. Default "internal". */
	readonly kind?: "server" | "internal";
	readonly attributes?: SpanAttributes;
	/** Spans that this work follows from without being part of them. */
	readonly links?: readonly TraceContext[];
}

/** One piece of work of a request. Exactly one `end`. */
export interface Span {
	/** What work below has as its parent, here and in the next process; null when there is no trace. */
	readonly trace: TraceContext | null;
	/** Whether anybody will see it: false lets callers skip what is costly to measure. */
	readonly recording: boolean;
	set(attributes: SpanAttributes): void;
	/** Something happened just now. */
	event(name: string, attributes?: SpanAttributes): void;
	/** The work failed. Cancellation is no failure: say that with an attribute. */
	fail(error: unknown): void;
	end(): void;
}

/** Where components report what they do for a request. `@dyn/runtime/telemetry` implements it over OpenTelemetry. */
export interface Tracer {
	start(name: string, options?: SpanOptions): Span;
}

const ignore = (): void => {};

/** Records nothing; traces that others began pass through unchanged. */
export const noTracer: Tracer = {
	start: (_name, { parent = null } = {}) => ({
		trace: parent,
		recording: false,
		set: ignore,
		event: ignore,
		fail: ignore,
		end: ignore,
	}),
};

/** `{ trace_id }` for log lines about a request, empty without a trace. */
export function traceFields(trace: TraceContext | null): { readonly trace_id?: string } {
	const id = trace?.traceparent.split("-", 2)[1];
	return id ? { trace_id: id } : {};
}
