// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { LogitsProcessorError, logitsProblem, runProcessors } from "@dyn/logits";
import type { ForwardBackend, SampledToken } from "../backend/forward-backend.js";
import type { Choice } from "./active-request.js";

/** A choice cannot go on, through the fault of its own request: nobody else is concerned. */
export class ChoiceFailure {
	readonly reason: DynError;

	constructor(reason: DynError) {
		this.reason = reason;
	}
}

/** What follows in a choice; null: nothing, its guide lets no token follow. */
export type ChosenToken = SampledToken | ChoiceFailure | null;

/**
 * Chooses the next tokens of the choices of a step whose logits go through JavaScript: first each one's processors, then,
 * of all rows at once, what their guides let follow. A choice fails alone: when a processor fails, its guide cannot be
 * honoured, or nothing is left of what both allow.
 */
export function chooseTokens(
	choices: readonly Choice[],
	backend: ForwardBackend,
): ReadonlyMap<Choice, ChosenToken> {
	const chosen = new Map<Choice, ChosenToken>();
	const open: { readonly choice: Choice; readonly mask: Uint32Array | undefined }[] = [];
	for (const choice of choices) {
		const mask = attempt(choice, () => allowedIn(choice, backend));
		if (mask === null || mask instanceof ChoiceFailure) chosen.set(choice, mask);
		else open.push({ choice, mask });
	}
	if (open.length === 0) return chosen;
	const sampled = backend.sampleRows(
		open.map(({ choice: { sequence, processors }, mask }) => ({
			slot: sequence.slot,
			mask,
			edited: processors.length > 0,
		})),
	);
	for (const [i, { choice }] of open.entries()) {
		const token = sampled[i] ?? nothingLeft(choice);
		chosen.set(choice, token === "unusable" ? unusable(choice, backend) : token);
	}
	return chosen;
}

/** Runs a choice's processors over its row; returns the mask of its guide, or null where the guide has ended. */
function allowedIn(
	{ sequence, processors, guide }: Choice,
	backend: ForwardBackend,
): Uint32Array | null | undefined {
	const mask = guide?.mask(sequence.answered);
	if (mask !== null && processors.length > 0)
		runProcessors(processors, sequence.tokens.view(), backend.logits(sequence.slot));
	return mask;
}

function attempt<T>({ guide }: Choice, work: () => T): T | ChoiceFailure {
	try {
		return work();
	} catch (error) {
		if (error instanceof LogitsProcessorError) return processorFailure(error);
		if (guide && DynError.is(error)) return new ChoiceFailure(error);
		throw error;
	}
}

function processorFailure(error: LogitsProcessorError): ChoiceFailure {
	return new ChoiceFailure(
		new DynError("LOGITS_PROCESSOR_FAILED", error.message, {
			cause: error,
			details: { processor: error.processor },
		}),
	);
}

/** The last processor left nonsense; what the others left was seen in between. */
function unusable({ sequence, processors }: Choice, backend: ForwardBackend): ChoiceFailure {
	const problem = logitsProblem(backend.logits(sequence.slot))!;
	return processorFailure(new LogitsProcessorError(processors.at(-1)!.name, problem));
}

function nothingLeft({ guide }: Choice): ChoiceFailure {
	const what = guide
		? "the answer's constraint allows only tokens that bad_words, min_tokens or a logits processor forbids"
		: "the logits processors leave only tokens that bad_words or min_tokens forbids";
	return new ChoiceFailure(
		new DynError("INVALID_ARGUMENT", `${what}; drop one of them`, {
			details: { param: guide?.field ?? "bad_words" },
		}),
	);
}
