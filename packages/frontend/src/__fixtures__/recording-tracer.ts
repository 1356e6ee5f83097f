// SPDX-License-Identifier: Apache-2.0
import type { Span, SpanOptions, Tracer } from "@dyn/common";

export interface RecordedSpan {
	readonly name: string;
	readonly options: SpanOptions;
	readonly traceparent: string;
	readonly attributes: Record<string, unknown>;
	readonly events: { readonly name: string; readonly attributes: Record<string, unknown> }[];
	readonly failures: unknown[];
	ended: number;
}

/** A tracer that keeps its spans; the k-th has the span id k. */
export class RecordingTracer implements Tracer {
	readonly spans: RecordedSpan[] = [];

	named(name: string): RecordedSpan[] {
		return this.spans.filter((span) => span.name === name);
	}

	start(name: string, options: SpanOptions = {}): Span {
		const trace = options.parent?.traceparent.split("-")[1] ?? "a".repeat(32);
		const id = String(this.spans.length + 1).padStart(16, "0");
		const recorded: RecordedSpan = {
			name,
			options,
			traceparent: `00-${trace}-${id}-01`,
			attributes: { ...options.attributes },
			events: [],
			failures: [],
			ended: 0,
		};
		this.spans.push(recorded);
		return {
			trace: { traceparent: recorded.traceparent },
			recording: true,
			set: (attributes) => void Object.assign(recorded.attributes, attributes),
			event: (name, attributes = {}) => void recorded.events.push({ name, attributes: { ...attributes } }),
			fail: (error) => void recorded.failures.push(error),
			end: () => void recorded.ended++,
		};
	}
}
