// SPDX-License-Identifier: Apache-2.0
import { DynError, type Span, type SpanAttributes, type TraceContext } from "@dyn/common";
import type * as api from "@opentelemetry/api";

/** `version-traceid-parentid-flags`, and more behind it in versions to come (W3C Trace Context, 3.2). */
const TRACEPARENT =
	/^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** A remote parent, or null when it is not valid: the span then begins a trace. */
export function toSpanContext(
	{ traceparent, tracestate }: TraceContext,
	{ createTraceState }: Pick<typeof api, "createTraceState">,
): api.SpanContext | null {
	const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? [];
	if (!traceId || !spanId || !flags) return null;
	return {
		traceId,
		spanId,
		traceFlags: Number.parseInt(flags, 16) & 1,
		isRemote: true,
		...(tracestate ? { traceState: createTraceState(tracestate) } : {}),
	};
}

function toTraceContext({ traceId, spanId, traceFlags, traceState }: api.SpanContext): TraceContext {
	const tracestate = traceState?.serialize();
	return {
		traceparent: `00-${traceId}-${spanId}-${(traceFlags & 1).toString().padStart(2, "0")}`,
		...(tracestate ? { tracestate } : {}),
	};
}

/** OpenTelemetry's span in this project's terms. */
export class OtelSpan implements Span {
	readonly trace: TraceContext;
	readonly recording: boolean;
	readonly #span: api.Span;
	readonly #errorStatus: api.SpanStatusCode;

	constructor(span: api.Span, errorStatus: api.SpanStatusCode) {
		this.#span = span;
		this.#errorStatus = errorStatus;
		this.trace = toTraceContext(span.spanContext());
		this.recording = span.isRecording();
	}

	set(attributes: SpanAttributes): void {
		if (this.recording) this.#span.setAttributes(present(attributes));
	}

	event(name: string, attributes: SpanAttributes = {}): void {
		if (this.recording) this.#span.addEvent(name, present(attributes));
	}

	fail(thrown: unknown): void {
		if (!this.recording) return;
		const error = DynError.from(thrown);
		this.set({ error_kind: error.code.toLowerCase() });
		// What a client did wrong may be told in its own words, which are not for here.
		const message = error.httpStatus >= 500 ? error.message : error.code;
		this.#span.setStatus({ code: this.#errorStatus, message });
	}

	end(): void {
		this.#span.end();
	}
}

export function present(attributes: SpanAttributes): Record<string, string | number | boolean> {
	return Object.fromEntries(
		Object.entries(attributes).filter(
			(entry): entry is [string, string | number | boolean] => entry[1] !== null && entry[1] !== undefined,
		),
	);
}
