// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";

/** Rows of logits are memory (a vocabulary of 150,000 takes 0.6 MB each), and larger batches gain little by guesses. */
const MAX_ROWS = 64;

const MODES = ["off", "prompt-lookup", "draft"] as const;
export type SpeculativeMode = (typeof MODES)[number];

export interface SpeculationLimits {
	/** The model that guesses; null: guesses are looked up. */
	readonly draftModelPath: string | null;
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
		readonly draftModelPath?: string | undefined;
	},
	maxNumSeqs: number,
): SpeculationLimits | null {
	const { draftModelPath = null, speculativeTokens: maxGuesses = 8 } = options;
	const mode = options.speculativeMode ?? (draftModelPath === null ? "prompt-lookup" : "draft");
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
	if ((mode === "draft") !== (draftModelPath !== null))
		throw invalidArgument(
			"draftModelPath",
			draftModelPath === null
				? 'speculativeMode "draft" needs a draftModelPath'
				: `draftModelPath is given, but speculativeMode is "${mode}"; leave one of them out`,
		);
	if (mode === "off") return null;
	return { draftModelPath, maxGuesses, maxRows: Math.min(MAX_ROWS, maxNumSeqs * maxGuesses) };
}
