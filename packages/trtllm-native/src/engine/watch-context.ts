// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";

/** Longest delay that a Node timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Tells when a request's caller goes away or its deadline passes. Returns what ends the watching. */
export function watchContext(
	{ id, signal, deadlineMs }: RequestContext,
	tell: { onAbort(): void; onDeadline(error: DynError): void },
): () => void {
	const abort = () => tell.onAbort();
	signal.addEventListener("abort", abort, { once: true });
	let timer: NodeJS.Timeout | undefined;
	if (deadlineMs !== null) {
		const delayMs = deadlineMs - performance.now();
		const expire = () =>
			tell.onDeadline(new DynError("DEADLINE_EXCEEDED", `request ${id} ran past its deadline`));
		if (delayMs <= MAX_TIMER_MS) timer = setTimeout(expire, Math.max(0, delayMs));
	}
	return () => {
		signal.removeEventListener("abort", abort);
		clearTimeout(timer);
	};
}
