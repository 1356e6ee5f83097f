// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { applyProcessors, LogitsProcessorError } from "@dyn/logits";
import type { ForwardBackend, SampledToken } from "../backend/forward-backend.js";
import type { Choice } from "./active-request.js";

/** A choice cannot go on, through the fault of its own request: nobody else is concerned. */
export class ChoiceFailure extends Error {
	readonly reason: DynError;

	constructor(reason: DynError) {
		super(reason.message);
		this.reason = reason;
	}
}

/**
 * Chooses the next token of a choice whose logits go through JavaScript: first its processors, then its guide.
 * @returns nothing when the guide lets no token follow
 * @throws ChoiceFailure when a processor fails, the guide cannot be honoured, or the two leave no token.
 */
export function chooseToken(
	{ sequence, processors, guide }: Choice,
	backend: ForwardBackend,
): readonly SampledToken[] {
	try {
		const mask = guide?.mask(sequence.answered);
		if (mask === null) return [];
		applyProcessors(processors, sequence.tokens.view(), backend.logits(sequence.slot));
		if (!mask) return [backend.sampleRow(sequence.slot)];
		return [sampleWithin(mask, sequence.slot, backend)];
	} catch (error) {
		if (error instanceof LogitsProcessorError)
			throw new ChoiceFailure(
				new DynError("LOGITS_PROCESSOR_FAILED", error.message, {
					cause: error,
					details: { processor: error.processor },
				}),
			);
		if (guide && DynError.is(error)) throw new ChoiceFailure(error);
		throw error;
	}
}

function sampleWithin(mask: Uint32Array, slot: number, backend: ForwardBackend): SampledToken {
	try {
		return backend.sampleRow(slot, mask);
	} catch (error) {
		if (!DynError.is(error, "INVALID_ARGUMENT")) throw error;
		throw new DynError(
			"INVALID_ARGUMENT",
			"the answer's constraint allows only tokens that min_tokens or a logits processor forbids; drop one of them",
			{ cause: error, details: { param: "response_format" } },
		);
	}
}
