// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import type { TraceContext } from "@dyn/common";

/** version 00 or a later one that begins alike; all-zero ids are invalid (W3C Trace Context, 3.2.2). */
const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/;

/** The trace that a request belongs to; null when it names none or an invalid one, which is then as if absent. */
export function readTraceContext({ headers }: IncomingMessage): TraceContext | null {
	const { traceparent, tracestate } = headers;
	if (typeof traceparent !== "string" || !TRACEPARENT.test(traceparent) || traceparent.startsWith("ff"))
		return null;
	return typeof tracestate === "string" ? { traceparent, tracestate } : { traceparent };
}
