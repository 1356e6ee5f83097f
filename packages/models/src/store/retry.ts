// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { DynError } from "@dyn/common";
import { isFileError } from "./file-errors.js";

/** Tries in a row that brought nothing. */
const ATTEMPTS = 6;
const LONGEST_ASKED_MS = 60_000;

export interface RetryOptions {
	readonly signal?: AbortSignal | undefined;
	/**
	 * Wait before the n-th retry, ms. `askedMs` is what the server asked for (Retry-After, at most a minute) or null.
	 * Default: that, else 500 * 2^n with jitter, at most 8 s.
	 */
	readonly retryDelayMs?: ((attempt: number, askedMs: number | null) => number) | undefined;
}

/**
 * Repeats what failed for a passing reason. `attempt` calls `progressed` when it got further than any before it, which
 * starts the count anew: a large file over a bad line needs many tries.
 * @throws DynError MODEL_UNAVAILABLE in the end; at once what is not retryable, file errors, or the reason of `signal`
 */
export async function retrying<T>(
	what: string,
	attempt: (progressed: () => void) => Promise<T>,
	{ signal, retryDelayMs = defaultRetryDelayMs }: RetryOptions,
): Promise<T> {
	for (let failures = 0; ; ) {
		try {
			return await attempt(() => {
				failures = 0;
			});
		} catch (error) {
			signal?.throwIfAborted();
			if (isFileError(error) || (DynError.is(error) && !error.retryable)) throw error;
			if (++failures >= ATTEMPTS) {
				throw new DynError(
					"MODEL_UNAVAILABLE",
					`${what} could not be downloaded in ${ATTEMPTS} attempts: ${reasonOf(error)}; check the network and run the same command again, it goes on where it stopped`,
					{ cause: error },
				);
			}
			const asked = DynError.is(error) ? error.details["retryAfterMs"] : null;
			const waitMs = retryDelayMs(failures - 1, typeof asked === "number" ? asked : null);
			await delay(waitMs, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
		}
	}
}

/** Milliseconds that a Retry-After header (seconds or a date, RFC 9110 section 10.2.3) asks for, or null. */
export function retryAfterMs(header: string | null): number | null {
	if (header === null) return null;
	const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
	return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_ASKED_MS) : null;
}

/** What the server asks for, else a back-off that doubles, with jitter so that many clients do not return together. */
export function defaultRetryDelayMs(attempt: number, askedMs: number | null): number {
	return askedMs ?? Math.min(8_000, 500 * 2 ** attempt) * (0.75 + Math.random() / 4);
}

/** The innermost message: `fetch` says only "fetch failed". */
function reasonOf(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	if (DynError.is(error)) return error.rawMessage;
	return error.cause instanceof Error ? error.cause.message || String(error.cause) : error.message;
}
