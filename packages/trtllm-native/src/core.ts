// SPDX-License-Identifier: Apache-2.0

export { type LogitsProcessorFactory, logitsProblem } from "@dyn/logits";
// For engines that compute otherwise: everything of the embedded engine but the model. Loads neither addon nor weights.
export type {
	BackendInfo,
	ForwardBackend,
	RowToSample,
	SampledRow,
	SampledToken,
	SamplerParams,
	StepResult,
	StepSequence,
} from "./backend/forward-backend.js";
export type { EngineCoreOptions, OpenEngine } from "./engine/core-options.js";
export { deferredIterable } from "./engine/deferred-iterable.js";
export { EngineCore } from "./engine/engine-core.js";
export type { EngineLimits, IterationStats } from "./engine/options.js";
export type { Pooling } from "./engine/pooler.js";
export { RankedEngine } from "./engine/ranked-engine.js";
export type { AcceptRequest, CreateHandoff, Handoff } from "./handoff/handoff.js";
export { mappedOutputs } from "./handoff/mapped-outputs.js";
