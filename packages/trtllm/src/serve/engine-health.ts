// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode, type Logger, linkSignals, pause } from "@dyn/common";

/** Asks an engine whether it is ready and well; rejects when it is not, or not yet. */
export type EngineProbe = (signal: AbortSignal) => Promise<void>;

/** Pause between two questions whether a starting engine is ready, ms. */
const READY_POLL_MS = 500;
/** Longest time for one answer about readiness or health, ms. */
const PROBE_TIMEOUT_MS = 10_000;
/** How often a start that takes long is mentioned, ms. */
const PROGRESS_MS = 30_000;
/** Failed looks at its health in a row after which an engine is sick: one can be a lost packet. */
const SICK_AFTER = 3;

/** Failures of a probe that time does not heal: the worker and the engine do not fit together. */
const FINAL: readonly ErrorCode[] = ["INVALID_ARGUMENT", "UNIMPLEMENTED"];

/** Whether an engine that a probe fails with is not worth waiting for. */
export const isFinal = (failure: unknown): failure is DynError =>
	DynError.is(failure) && FINAL.includes(failure.code);

/**
 * Waits until a starting engine is ready.
 * @throws DynError DEADLINE_EXCEEDED when it takes longer than `deadlineMs`; CANCELLED when the signal is aborted; what the
 * probe fails with when that is for good
 */
export async function untilReady(
	probe: EngineProbe,
	{ deadlineMs, logger, signal }: { deadlineMs: number; logger: Logger; signal: AbortSignal },
): Promise<void> {
	const startedMs = performance.now();
	let mentionMs = PROGRESS_MS;
	for (;;) {
		const failure = await failureOf(probe, signal);
		if (failure === null) return;
		if (signal.aborted) throw startCancelled();
		if (isFinal(failure)) throw failure;
		const elapsedMs = performance.now() - startedMs;
		if (elapsedMs >= deadlineMs)
			throw new DynError(
				"DEADLINE_EXCEEDED",
				`the engine was not ready after ${deadlineMs / 1000} s; read its log lines above, or allow more time with --engine-startup-deadline`,
			);
		if (elapsedMs >= mentionMs) {
			mentionMs += PROGRESS_MS;
			logger.info("the engine is starting", {
				seconds: Math.round(elapsedMs / 1000),
				deadlineSeconds: deadlineMs / 1000,
			});
		}
		await pause(Math.min(READY_POLL_MS, deadlineMs - elapsedMs), signal);
	}
}

/** Resolves with true when several looks in a row have failed, with false when the signal is aborted before. */
export async function untilSick(
	probe: EngineProbe,
	intervalMs: number,
	signal: AbortSignal,
): Promise<boolean> {
	for (let failures = 0; failures < SICK_AFTER; ) {
		await pause(intervalMs, signal);
		if (signal.aborted) return false;
		failures = (await failureOf(probe, signal)) === null ? 0 : failures + 1;
	}
	return !signal.aborted;
}

/** What a probe fails with; null when it succeeds in time. */
async function failureOf(probe: EngineProbe, signal: AbortSignal): Promise<DynError | null> {
	const limited = linkSignals(signal, AbortSignal.timeout(PROBE_TIMEOUT_MS));
	const late = new Promise<DynError>((resolve) => {
		const end = () => resolve(new DynError("DEADLINE_EXCEEDED", "the engine does not answer"));
		limited.signal.addEventListener("abort", end, { once: true });
	});
	try {
		return await Promise.race([probe(limited.signal).then(() => null), late]);
	} catch (error) {
		return DynError.from(error);
	} finally {
		limited.unlink();
	}
}

export const startCancelled = (): DynError => new DynError("CANCELLED", "starting the engine was cancelled");
