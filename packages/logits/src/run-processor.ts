// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessor } from "./logits-processor.js";

/**
 * Calls a processor. An `async process` type-checks but would edit the logits too late, and its rejection would end
 * the process as unhandled.
 * @throws TypeError when it returned a promise, and whatever the processor throws.
 */
export function runProcessor(processor: LogitsProcessor, inputIds: Uint32Array, logits: Float32Array): void {
	const returned: unknown = processor.process(inputIds, logits);
	if (!(returned instanceof Promise)) return;
	returned.catch(() => {}); // reported below, whatever becomes of it
	throw new TypeError("process returned a promise; it must be synchronous");
}
