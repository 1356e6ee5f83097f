// SPDX-License-Identifier: Apache-2.0
import { DynError, noTracer, type Span, type TraceContext, type Tracer } from "@dyn/common";
import type { GenerateRequest } from "@dyn/protocols";
import { formatEndpointPath } from "@dyn/runtime";
import type { Candidate } from "./candidates.js";

/** The span of a request and where those of its attempts are made. */
export interface RequestSpan {
	readonly tracer: Tracer;
	readonly span: Pick<Span, "trace" | "event">;
}

/** Nobody looks. */
export const unseen: RequestSpan = { tracer: noTracer, span: noTracer.start("") };

/** What one attempt says of itself; the worker's spans are below it. */
export class AttemptSpan {
	readonly #span: Span;
	#tokens = 0;

	constructor(span: Span) {
		this.#span = span;
	}

	get trace(): TraceContext | null {
		return this.#span.trace;
	}

	tokens(count: number): void {
		this.#tokens += count;
	}

	fail(error: unknown): void {
		if (!DynError.is(error, "CANCELLED")) this.#span.fail(error);
	}

	end(cancelled: boolean): void {
		this.#span.set({ output_tokens: this.#tokens, ...(cancelled ? { cancelled } : {}) });
		this.#span.end();
	}
}

/** Spans of the attempts at one request, each linked to the one before it (Dynamo: `migration_link`). */
export class AttemptSpans {
	readonly #request: RequestSpan;
	#attempts = 0;
	#previous: TraceContext | null = null;
	#reason: string | null = null;

	constructor(request: RequestSpan) {
		this.#request = request;
	}

	start({ instance }: Candidate, { resumedTokens }: GenerateRequest): AttemptSpan {
		const { tracer, span } = this.#request;
		const started = tracer.start("attempt", {
			parent: span.trace,
			links: this.#previous ? [this.#previous] : [],
			attributes: {
				attempt: ++this.#attempts,
				instance_id: instance.id.toString(),
				endpoint: formatEndpointPath(instance.path),
				replayed_tokens: resumedTokens,
				migration_reason: this.#reason,
			},
		});
		this.#previous = started.trace;
		return new AttemptSpan(started);
	}

	/** The request leaves `from` for `to` because of `error`. */
	migrate(from: Candidate, to: Candidate, error: unknown): void {
		this.#reason = DynError.from(error).code.toLowerCase();
		this.#request.span.event("migrate", {
			from: from.instance.id.toString(),
			to: to.instance.id.toString(),
			reason: this.#reason,
		});
	}
}
