// SPDX-License-Identifier: Apache-2.0
import { ERROR_CODES, type ErrorCode } from "./error-codes.js";

const BRAND = Symbol.for("dyn.error");

export interface DynErrorOptions {
	readonly cause?: unknown;
	/** Overrides the code's default. */
	readonly retryable?: boolean;
	/** Machine-readable facts, for example `{ param: "temperature" }`. Never user content. */
	readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class. Message form: `[CODE] what happened: which thing; what to do`.
 * Recognised by a global symbol, so two copies of this package understand each other.
 */
export class DynError extends Error {
	override readonly name = "DynError";
	readonly code: ErrorCode;
	readonly retryable: boolean;
	readonly details: Readonly<Record<string, unknown>>;
	/** The message without its code prefix. */
	readonly rawMessage: string;

	constructor(code: ErrorCode, message: string, options: DynErrorOptions = {}) {
		super(`[${code}] ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
		Object.defineProperty(this, BRAND, { value: true });
		this.code = code;
		this.rawMessage = message;
		this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
		this.details = options.details ?? {};
	}

	/** HTTP status for this error (see `ERROR_CODES`). */
	get httpStatus(): number {
		return ERROR_CODES[this.code].httpStatus;
	}

	static is(value: unknown, code?: ErrorCode): value is DynError {
		if (typeof value !== "object" || value === null || !(BRAND in value)) return false;
		return code === undefined || (value as unknown as DynError).code === code;
	}

	/** Returns `value` itself if it is a DynError, a CANCELLED error for an abort, else an INTERNAL error with `value` as its cause. */
	static from(value: unknown): DynError {
		if (DynError.is(value)) return value;
		if (value instanceof Error && value.name === "AbortError") {
			return new DynError("CANCELLED", "the request was cancelled", { cause: value });
		}
		const text = value instanceof Error ? value.message : String(value);
		return new DynError("INTERNAL", text, { cause: value });
	}
}

/** Shorthand for the commonest error: `param` is the path of the offending field, as in `messages[0].role`. */
export function invalidArgument(param: string, message: string): DynError {
	return new DynError("INVALID_ARGUMENT", message, { details: { param } });
}
