// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** Turns a file system error into one that says what to do; others pass unchanged. */
export function explainFileError(error: unknown, path: string): unknown {
	if (!isFileError(error)) return error;
	if (error.code === "ENOSPC" || error.code === "EDQUOT") {
		return new DynError(
			"DISK_FULL",
			`no room left while writing ${path}; free some space or choose another folder with --model-store`,
			{ cause: error },
		);
	}
	return new DynError(
		"MODEL_UNAVAILABLE",
		`cannot write ${path}: ${error.message}; make it writable or choose another folder with --model-store`,
		{ cause: error },
	);
}

/** An error of the operating system. Those of the network arrive inside a TypeError of `fetch`, so this is a file's. */
export function isFileError(error: unknown): error is NodeJS.ErrnoException {
	return error instanceof Error && "syscall" in error && "code" in error;
}
