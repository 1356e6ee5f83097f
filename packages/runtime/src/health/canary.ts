// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, type Logger, silentLogger } from "@dyn/common";
import type { EndpointHandler } from "../types.js";

export interface CanaryOptions {
	/** The endpoint's own handler: the canary goes the way of a real request. */
	readonly handler: EndpointHandler;
	readonly payload: unknown;
	/** Silence before a probe is sent, ms. Dynamo: DYN_CANARY_WAIT_TIME. */
	readonly waitMs: number;
	/** Time for a whole answer, to its last item, ms. Default 10,000. */
	readonly timeoutMs?: number;
	readonly logger?: Logger;
}

export interface Canary {
	/** True until a probe failed, and again after one succeeded. */
	readonly healthy: boolean;
	/** Real traffic: postpones the next probe. */
	touch(): void;
	/** Sends a probe now; resolves with the verdict. */
	probe(): Promise<boolean>;
	close(): void;
}

/** Asks an idle endpoint whether it still works, and judges the answer to its end: an engine that freezes in mid-answer fails. */
export function createCanary({
	handler,
	payload,
	waitMs,
	timeoutMs = 10_000,
	logger = silentLogger,
}: CanaryOptions): Canary {
	let healthy = true;
	let timer: NodeJS.Timeout;
	const touch = () => {
		clearTimeout(timer);
		timer = setTimeout(() => void probe().then(touch), waitMs);
		timer.unref();
	};
	const probe = async (): Promise<boolean> => {
		const deadline = new AbortController();
		const expire = setTimeout(
			() => deadline.abort(new DynError("DEADLINE_EXCEEDED", "the canary got no whole answer")),
			timeoutMs,
		);
		let items = 0;
		try {
			for await (const _ of handler(payload, createRequestContext({ signal: deadline.signal }))) items++;
			healthy = items > 0 && !deadline.signal.aborted;
		} catch (error) {
			logger.warn("canary failed", { error });
			healthy = false;
		} finally {
			clearTimeout(expire);
		}
		return healthy;
	};
	touch();
	return {
		get healthy() {
			return healthy;
		},
		touch,
		probe,
		close: () => clearTimeout(timer),
	};
}
