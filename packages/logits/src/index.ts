// SPDX-License-Identifier: Apache-2.0
export { applyProcessors, LogitsProcessorError, type NamedProcessor } from "./apply-processors.js";
export { argmax, logSumExp, softmaxInPlace, topK } from "./kernels.js";
export type { LogitsProcessor, LogitsProcessorFactory } from "./logits-processor.js";
export {
	allowedTokensProcessor,
	chain,
	helloWorldProcessor,
	temperatureProcessor,
	tokenBiasProcessor,
} from "./processors.js";
export { createLogitsProcessorRegistry, type LogitsProcessorRegistry } from "./registry.js";
