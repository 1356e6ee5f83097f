// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { StepSequence } from "../forward-backend.js";

export interface StepLimits {
	readonly vocabSize: number;
	readonly contextLength: number;
	readonly numKvBlocks: number;
	readonly kvBlockSize: number;
	readonly maxSequences: number;
	readonly maxBatchedTokens: number;
	readonly maxDrafts: number;
}

/**
 * Refuses what a backend cannot compute: typed arrays would take it silently.
 * @throws DynError INVALID_ARGUMENT naming the sequence and what is wrong with it.
 */
export function checkStep(
	sequences: readonly StepSequence[],
	limits: StepLimits,
	isOpen: (slot: number) => boolean,
): void {
	if (sequences.length === 0) throw refused("a step needs at least one sequence");
	const rows = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
	if (rows > limits.maxBatchedTokens)
		throw refused(`a step has ${rows} rows; the limit is ${limits.maxBatchedTokens}`);
	const drafts = sequences.reduce((sum, sequence) => sum + (sequence.drafts ?? 0), 0);
	if (drafts > limits.maxDrafts) throw refused(`a step has more than ${limits.maxDrafts} guesses`);
	const slots = new Set<number>();
	for (const [index, sequence] of sequences.entries()) {
		const problem = problemOf(sequence, limits, isOpen, slots);
		if (problem) throw refused(`sequence ${index} of the step: ${problem}`);
		slots.add(sequence.slot);
	}
}

function problemOf(
	{ slot, tokens, position, blocks, output, drafts = 0, scored }: StepSequence,
	limits: StepLimits,
	isOpen: (slot: number) => boolean,
	slots: ReadonlySet<number>,
): string | null {
	if (!Number.isInteger(slot) || slot < 0 || slot >= limits.maxSequences)
		return `slot ${slot} does not exist`;
	if (slots.has(slot)) return `slot ${slot} is there twice`;
	if (output === "sample" && !isOpen(slot)) return `slot ${slot} is not open`;
	if (tokens.length === 0) return "it has no tokens";
	if (drafts > 0 && (output !== "sample" || drafts >= tokens.length))
		return "guesses must follow a token, and be sampled after";
	if (
		scored &&
		(scored.targets.length > tokens.length || scored.targets.some((id) => id >= limits.vocabSize))
	)
		return "it has more targets than tokens, or one that is not in the vocabulary";
	if (!Number.isInteger(position) || position < 0) return `${position} is not a position`;
	const end = position + tokens.length;
	if (end > limits.contextLength) return `it ends at ${end}, but the context holds ${limits.contextLength}`;
	if (blocks.length * limits.kvBlockSize < end) return `${blocks.length} KV blocks do not hold ${end} tokens`;
	const token = tokens.find((id) => id >= limits.vocabSize);
	if (token !== undefined) return `token ${token} is not in the vocabulary of ${limits.vocabSize}`;
	const block = blocks.find((id) => id >= limits.numKvBlocks);
	return block === undefined ? null : `KV block ${block} does not exist`;
}

function refused(message: string): DynError {
	return new DynError("INVALID_ARGUMENT", message);
}
