// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessor } from "./logits-processor.js";
import { runProcessor } from "./run-processor.js";

/** Several processors as one, applied in order. */
export function chain(...processors: readonly LogitsProcessor[]): LogitsProcessor {
	return {
		process(inputIds, logits) {
			for (const processor of processors) runProcessor(processor, inputIds, logits);
		},
	};
}
