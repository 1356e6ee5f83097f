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
	/** A sign of life of real traffic: postpones the next probe, unless the last one failed. */
	touch(): void;
	/** Sends a probe now, or joins the one that runs; resolves with the verdict. */
	probe(): Promise<boolean>;
	close(): void;
}

/**
 * Asks an idle endpoint whether it still works, and judges the answer to its end: an engine that freezes in mid-answer
 * fails, also one that does not even react to the abort. While such an answer hangs no further probe is sent.
 */
export function createCanary({
	handler,
	payload,
	waitMs,
	timeoutMs = 10_000,
	logger = silentLogger,
}: CanaryOptions): Canary {
	let healthy = true;
	let closed = false;
	let running: Promise<boolean> | null = null;
	/** Ends the present probe with a reason. */
	let expire: (reason: DynError) => void = () => {};
	/** An answer that has not ended, maybe of an earlier probe. */
	let unanswered = false;
	const timer = setTimeout(() => void probe(), waitMs).unref();

	const readAnswer = async (signal: AbortSignal): Promise<void> => {
		let items = 0;
		unanswered = true;
		try {
			for await (const _ of handler(payload, createRequestContext({ signal }))) items++;
		} finally {
			unanswered = false;
		}
		if (items === 0) throw new DynError("UNAVAILABLE", "the answer to the canary was empty");
	};
	const judge = async (): Promise<boolean> => {
		if (unanswered) return false;
		const deadline = new AbortController();
		const expired = new Promise<never>((_, reject) => {
			expire = (reason) => {
				reject(reason);
				deadline.abort(reason);
			};
		});
		const clock = setTimeout(
			() => expire(new DynError("DEADLINE_EXCEEDED", `no whole answer to the canary in ${timeoutMs} ms`)),
			timeoutMs,
		);
		try {
			await Promise.race([readAnswer(deadline.signal), expired]);
			if (!healthy) logger.info("canary is answered again");
			return true;
		} catch (error) {
			if (!closed) logger.warn("canary failed", { error });
			return false;
		} finally {
			clearTimeout(clock);
		}
	};
	const probe = (): Promise<boolean> => {
		running ??= judge().then((verdict) => {
			running = null;
			if (!closed) {
				healthy = verdict;
				timer.refresh();
			}
			return verdict;
		});
		return running;
	};
	return {
		get healthy() {
			return healthy;
		},
		touch() {
			if (healthy && !closed && !running) timer.refresh();
		},
		probe,
		close() {
			closed = true;
			clearTimeout(timer);
			expire(new DynError("CANCELLED", "the canary was closed"));
		},
	};
}
