// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** Turns a file system error into one that says what to do; others pass unchanged. */
export function explainFileError(error: unknown, path: string): unknown {
	const code = (error as NodeJS.ErrnoException | null)?.code;
	if (code === "ENOSPC" || code === "EDQUOT") {
		return new DynError(
			"DISK_FULL",
			`no room left while writing ${path}; free some space or choose another folder with --model-store`,
			{ cause: error },
		);
	}
	if (code === "EACCES" || code === "EROFS" || code === "EPERM") {
		return new DynError(
			"MODEL_UNAVAILABLE",
			`cannot write ${path}; make it writable or choose another folder with --model-store`,
			{ cause: error },
		);
	}
	return error;
}
