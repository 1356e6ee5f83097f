// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError } from "@dyn/common";
import { MAX_TIMER_MS } from "./call.js";
import type { Channel } from "./channel.js";

export interface ConnectOptions {
	/** Attempts go on for this long. Default 30 minutes: an engine may be loading a large model. */
	readonly startupDeadlineMs?: number | undefined;
	readonly signal?: AbortSignal | undefined;
}

/**
 * Resolves when the server takes calls.
 * @param endpoint for messages
 * @throws DynError UNAVAILABLE after the deadline, or the reason of `signal`
 */
export function waitForServer(
	channel: Channel,
	endpoint: string,
	{ startupDeadlineMs = 1_800_000, signal }: ConnectOptions,
): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) return reject(cancellationError(signal));
		let isOver = false;
		let last = "no attempt came to an end";
		let retry: NodeJS.Timeout | undefined;
		const finish = (error: DynError | null) => {
			isOver = true;
			clearTimeout(retry);
			clearTimeout(deadline);
			signal?.removeEventListener("abort", onAbort);
			if (error) reject(error);
			else resolve();
		};
		const onAbort = () => finish(cancellationError(signal!));
		const giveUp = () => {
			const message = `no gRPC server at ${endpoint} (${last}); start one there, or correct the endpoint`;
			finish(new DynError("UNAVAILABLE", message));
		};
		// Both timers keep the process alive: somebody waits.
		const deadline = setTimeout(giveUp, Math.min(startupDeadlineMs, MAX_TIMER_MS));
		const attempt = () =>
			channel.use(
				() => {
					if (!isOver) finish(null);
				},
				(reason) => {
					last = reason;
					if (isOver) return;
					if (channel.isClosed) giveUp();
					else retry = setTimeout(attempt, Math.ceil(channel.pauseMs));
				},
			);
		signal?.addEventListener("abort", onAbort, { once: true });
		attempt();
	});
}
