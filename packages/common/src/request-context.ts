// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { DynError } from "./dyn-error.js";
import { type Logger, silentLogger } from "./logger.js";

/** W3C trace context of a request. */
export interface TraceContext {
	readonly traceparent: string;
	readonly tracestate?: string;
}

/** What travels with a request through every layer. Aborting `signal` anywhere upstream reaches the engine. */
export interface RequestContext {
	readonly id: string;
	readonly signal: AbortSignal;
	/** Point on the monotonic clock (`performance.now()`, ms), or null for none. */
	readonly deadlineMs: number | null;
	readonly trace: TraceContext | null;
	/** When the caller sent it, ms since the Unix epoch by the caller's clock; null when it did not say or is this process. */
	readonly sentAtMs: number | null;
	readonly logger: Logger;
}

export interface RequestContextOptions {
	readonly id?: string;
	readonly signal?: AbortSignal;
	readonly deadlineMs?: number;
	readonly trace?: TraceContext;
	readonly sentAtMs?: number;
	readonly logger?: Logger;
}

const neverAborted = (): AbortSignal => new AbortController().signal;

export function createRequestContext(options: RequestContextOptions = {}): RequestContext {
	const id = options.id ?? randomUUID();
	return {
		id,
		signal: options.signal ?? neverAborted(),
		deadlineMs: options.deadlineMs ?? null,
		trace: options.trace ?? null,
		sentAtMs: options.sentAtMs ?? null,
		logger: options.logger ?? silentLogger,
	};
}

/** The error to throw when `signal` has aborted: its reason if that is a DynError, else CANCELLED. */
export function cancellationError(signal: AbortSignal): DynError {
	if (DynError.is(signal.reason)) return signal.reason;
	return new DynError("CANCELLED", "the request was cancelled", { cause: signal.reason });
}
