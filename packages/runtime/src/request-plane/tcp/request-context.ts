// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type Logger, type RequestContext } from "@dyn/common";

/** Time that the caller still gives the request, ms: clocks of two machines cannot be compared. */
const REMAINING_MS = "x-dyn-remaining-ms";
/** When the caller sent the request, ns since the Unix epoch in decimal digits (Dynamo's name). */
const SENT_NS = "x-frontend-send-ts-ns";

/** What a request's headers say about it. */
export function contextOf(
	id: string,
	headers: Readonly<Record<string, string>>,
	signal: AbortSignal,
	logger: Logger,
): RequestContext {
	const { traceparent, tracestate } = headers;
	const sentNs = headers[SENT_NS];
	const remainingMs = Number(headers[REMAINING_MS] ?? Number.NaN);
	return createRequestContext({
		id,
		signal,
		logger,
		...(Number.isFinite(remainingMs) ? { deadlineMs: performance.now() + remainingMs } : {}),
		...(sentNs && /^\d{1,20}$/.test(sentNs) ? { sentAtMs: Number(sentNs) / 1e6 } : {}),
		...(traceparent ? { trace: { traceparent, ...(tracestate ? { tracestate } : {}) } } : {}),
	});
}

/** The headers that tell a worker of a request; names as in Dynamo. */
export function headersOf({ id, trace, deadlineMs }: RequestContext): Record<string, string> {
	return {
		"request-id": id,
		[SENT_NS]: `${Date.now()}000000`,
		...(deadlineMs === null
			? {}
			: { [REMAINING_MS]: String(Math.max(0, Math.round(deadlineMs - performance.now()))) }),
		...(trace ? { traceparent: trace.traceparent } : {}),
		...(trace?.tracestate ? { tracestate: trace.tracestate } : {}),
	};
}
