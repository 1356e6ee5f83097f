// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@dyn/common";

/** Exit code of a process that a second signal ended. */
const FORCED = 130;
/** A drain that takes longer than this is explained, ms. */
const NOTICE_MS = 250;

/** SIGTERM and SIGINT from now on: the first asks for the end, a second one ends the process at once. */
export class ShutdownSignals {
	/** Aborted by the first. */
	readonly signal: AbortSignal;
	/** Its name. */
	readonly first: Promise<string>;

	constructor() {
		const asked = new AbortController();
		this.signal = asked.signal;
		this.first = new Promise((resolve) => {
			for (const name of ["SIGTERM", "SIGINT"] as const)
				process.on(name, () => {
					if (asked.signal.aborted) process.exit(FORCED);
					asked.abort();
					resolve(name);
				});
		});
	}
}

/**
 * Starts what a signal is to give up, so that nothing of half a start is left behind.
 * @param close called when the start fails or is given up
 * @returns null when it was given up
 */
export async function startUnlessSignalled<T>(
	start: (signal: AbortSignal) => Promise<T>,
	close: () => Promise<void>,
	signals: ShutdownSignals,
	logger: Logger,
): Promise<T | null> {
	let notice: NodeJS.Timeout | undefined;
	const asked = async () => {
		notice = setTimeout(() => logger.warn("giving up the start; a second signal ends at once"), NOTICE_MS);
		logger.info("shutting down", { signal: await signals.first });
	};
	signals.signal.addEventListener("abort", asked, { once: true });
	try {
		return await start(signals.signal);
	} catch (error) {
		await close();
		if (signals.signal.aborted) return null;
		throw error;
	} finally {
		signals.signal.removeEventListener("abort", asked);
		clearTimeout(notice);
	}
}

/**
 * Waits for SIGTERM or SIGINT, then drains. Running work may finish within `drainSeconds`; a second signal ends at once.
 * @param died resolves when what was started has ended by itself, because its engine died for example
 * @returns the exit code: 0 when everything was finished, 1 when not, or when it died
 */
export async function untilSignal(
	drain: () => Promise<void>,
	close: () => Promise<void>,
	drainSeconds: number,
	logger: Logger,
	died: Promise<void> = new Promise(() => {}),
	signals: ShutdownSignals = new ShutdownSignals(),
): Promise<number> {
	const signal = await Promise.race([signals.first, died.then(() => null)]);
	if (signal === null) {
		await close();
		return 1;
	}
	logger.info("shutting down", { signal });
	const notice = setTimeout(
		() => logger.warn("running requests may finish; a second signal ends at once", { drainSeconds }),
		NOTICE_MS,
	);
	const expired = new AbortController();
	const timeout = delay(drainSeconds * 1000, "timeout" as const, { signal: expired.signal }).catch(
		() => "timeout" as const,
	);
	const ended = await Promise.race([drain().then(() => "drained" as const), timeout]);
	expired.abort();
	clearTimeout(notice);
	if (ended === "drained") return 0;
	logger.warn("requests were still running: ending them", { drainSeconds });
	await close();
	return 1;
}
