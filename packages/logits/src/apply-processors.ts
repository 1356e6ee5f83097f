// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessor } from "./logits-processor.js";
import { LogitsProcessorError } from "./logits-processor-error.js";
import { runProcessor } from "./run-processor.js";

export interface NamedProcessor {
	readonly name: string;
	readonly processor: LogitsProcessor;
}

/**
 * Runs a request's processors, in order, on one row of logits: what an engine calls per row, at any batch size.
 * @param inputIds prompt and everything generated so far
 * @param logits vocabulary-size values, edited in place. After an error they are as the failed processor left them.
 * @throws LogitsProcessorError naming the processor that threw, or after which a logit is NaN or +Infinity, or none
 * is left above -Infinity.
 */
export function applyProcessors(
	processors: readonly NamedProcessor[],
	inputIds: Uint32Array,
	logits: Float32Array,
): void {
	runProcessors(processors, inputIds, logits);
	const last = processors.at(-1);
	if (last) check(last, logits);
}

/**
 * As `applyProcessors`, but nobody looks at what the last processor left: for an engine that does so while it samples, and
 * says {@link logitsProblem} the row in the last one's name.
 */
export function runProcessors(
	processors: readonly NamedProcessor[],
	inputIds: Uint32Array,
	logits: Float32Array,
): void {
	for (const [i, { name, processor }] of processors.entries()) {
		if (i > 0) check(processors[i - 1]!, logits);
		try {
			runProcessor(processor, inputIds, logits);
		} catch (error) {
			throw LogitsProcessorError.from(name, error);
		}
	}
}

function check({ name }: NamedProcessor, logits: Float32Array): void {
	const problem = logitsProblem(logits);
	if (problem) throw new LogitsProcessorError(name, problem);
}

/** Why no token can be sampled from a row: a logit is NaN or +Infinity, or none is above -Infinity. Null when one can. */
export function logitsProblem(logits: Float32Array): string | null {
	const { length } = logits;
	let id = 0;
	while (id < length && logits[id] === -Infinity) id++;
	if (id === length) return "no token is left to choose: every logit is -Infinity";
	// Neither NaN nor +Infinity is below +Infinity. Four per branch: the loop runs over the vocabulary, for every token.
	for (; id + 4 <= length; id += 4)
		if (
			!(
				logits[id]! < Infinity &&
				logits[id + 1]! < Infinity &&
				logits[id + 2]! < Infinity &&
				logits[id + 3]! < Infinity
			)
		)
			break;
	for (; id < length; id++)
		if (!(logits[id]! < Infinity))
			return `it set the logit of token ${id} to ${logits[id]}; use numbers, or -Infinity for "never"`;
	return null;
}
