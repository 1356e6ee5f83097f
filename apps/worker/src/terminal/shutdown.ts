// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@dyn/common";

/** Exit code of a process that a second signal ended. */
const FORCED = 130;
/** A drain that takes longer than this is explained, ms. */
const NOTICE_MS = 250;

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
): Promise<number> {
	let signals = 0;
	const signal = await new Promise<string | null>((resolve) => {
		void died.then(() => resolve(null));
		for (const name of ["SIGTERM", "SIGINT"] as const) {
			process.on(name, () => {
				if (++signals === 1) resolve(name);
				else process.exit(FORCED);
			});
		}
	});
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
