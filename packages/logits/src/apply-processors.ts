// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessor } from "./logits-processor.js";

/** A processor failed: which one, and what it threw as `cause`. */
export class LogitsProcessorError extends Error {
	override readonly name = "LogitsProcessorError";
	/** Name under which the processor was registered. */
	readonly processor: string;

	constructor(processor: string, message: string, cause?: unknown) {
		super(`logits processor ${processor}: ${message}`, cause === undefined ? undefined : { cause });
		this.processor = processor;
	}
}

export interface NamedProcessor {
	readonly name: string;
	readonly processor: LogitsProcessor;
}

/**
 * Runs a request's processors, in order, on one row of logits: what an engine calls per row, at any batch size.
 * @param logits vocabulary-size values, edited in place
 * @throws LogitsProcessorError when one throws, or leaves no finite logit (nothing could be chosen then).
 */
export function applyProcessors(
	processors: readonly NamedProcessor[],
	inputIds: Uint32Array,
	logits: Float32Array,
): void {
	for (const { name, processor } of processors) {
		try {
			processor.process(inputIds, logits);
		} catch (error) {
			throw new LogitsProcessorError(name, error instanceof Error ? error.message : String(error), error);
		}
	}
	const last = processors.at(-1);
	if (last && !hasFinite(logits))
		throw new LogitsProcessorError(last.name, "no token is left to choose: every logit is -Infinity or NaN");
}

function hasFinite(logits: Float32Array): boolean {
	for (let i = 0; i < logits.length; i++) if (Number.isFinite(logits[i])) return true;
	return false;
}
