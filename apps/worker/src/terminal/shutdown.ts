// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";

/**
 * Waits for SIGTERM or SIGINT, then drains. Running work may finish within `drainSeconds`; a second signal ends at once.
 * @returns the exit code
 */
export async function untilSignal(
	drain: () => Promise<void>,
	close: () => Promise<void>,
	drainSeconds: number,
	logger: Logger,
): Promise<number> {
	const signal = await new Promise<string>((resolve) => {
		for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve(name));
	});
	for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => process.exit(130));
	logger.info("shutting down: running requests may finish, a second signal ends at once", {
		signal,
		drainSeconds,
	});
	let timer: NodeJS.Timeout | undefined;
	const timeout = new Promise<"timeout">((resolve) => {
		timer = setTimeout(() => resolve("timeout"), drainSeconds * 1000);
	});
	const ended = await Promise.race([drain().then(() => "drained" as const), timeout]);
	clearTimeout(timer);
	if (ended === "timeout") {
		logger.warn("requests were still running: ending them", { drainSeconds });
		await close();
		return 1;
	}
	return 0;
}
