// SPDX-License-Identifier: Apache-2.0

/** A constraint that cannot be honoured, through the fault of whoever wrote it. The message says what and where. */
export class GrammarError extends Error {
	override readonly name = "GrammarError";
}
