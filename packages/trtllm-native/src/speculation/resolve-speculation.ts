// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";

/** Rows of logits are memory (a vocabulary of 150,000 takes 0.6 MB each), and larger batches gain little by guesses. */
const MAX_ROWS = 64;

const MODES = ["off", "prompt-lookup"] as const;
export type SpeculativeMode = (typeof MODES)[number];

export interface SpeculationLimits {
	readonly mode: Exclude<SpeculativeMode, "off">;
	/** Most guesses of a sequence in a step. */
	readonly maxGuesses: number;
	/** Most guesses of a step. */
	readonly maxRows: number;
}

/**
 * Options with their defaults; null when nothing is to be guessed.
 * @throws DynError INVALID_ARGUMENT naming the option
 */
export function resolveSpeculation(
	options: {
		readonly speculativeMode?: SpeculativeMode | undefined;
		readonly speculativeTokens?: number | undefined;
	},
	maxNumSeqs: number,
): SpeculationLimits | null {
	const { speculativeMode: mode = "prompt-lookup", speculativeTokens: maxGuesses = 8 } = options;
	if (!MODES.includes(mode))
		throw invalidArgument(
			"speculativeMode",
			`speculativeMode must be one of ${MODES.join(", ")}, got ${JSON.stringify(mode)}`,
		);
	if (!(Number.isSafeInteger(maxGuesses) && maxGuesses >= 1 && maxGuesses <= MAX_ROWS))
		throw invalidArgument(
			"speculativeTokens",
			`speculativeTokens must be an integer from 1 to ${MAX_ROWS}, got ${maxGuesses}`,
		);
	return mode === "off" ? null : { mode, maxGuesses, maxRows: Math.min(MAX_ROWS, maxNumSeqs * maxGuesses) };
}
