// SPDX-License-Identifier: Apache-2.0
export { applyProcessors, logitsProblem, type NamedProcessor, runProcessors } from "./apply-processors.js";
export { chain } from "./chain.js";
export { argmax, logSumExp, softmaxInPlace, topK } from "./kernels.js";
export type { LogitsProcessor, LogitsProcessorFactory } from "./logits-processor.js";
export { LogitsProcessorError } from "./logits-processor-error.js";
export {
	allowedTokensProcessor,
	bannedTokensProcessor,
	helloWorldProcessor,
	temperatureProcessor,
	tokenBiasProcessor,
} from "./processors.js";
export { createLogitsProcessorRegistry, type LogitsProcessorRegistry } from "./registry.js";
