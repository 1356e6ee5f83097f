// SPDX-License-Identifier: Apache-2.0

// For tools that look below the engine: benchmarks, diagnosis, other schedulers.
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
export { createEmbeddedEngine } from "./engine/embedded-engine.js";
export type { EmbeddedEngineOptions, IterationStats } from "./engine/options.js";
export type { Pooling } from "./engine/pooler.js";
export { type LoadModelOptions, loadModelWeights } from "./model/load-model-weights.js";
export type { ModelSpec, ModelWeights, RopeScaling, TensorSource } from "./model/model-spec.js";
export type { Quantization } from "./model/quantize-weights.js";
export {
	BUILD_COMMAND,
	findNativeBinding,
	type LoadedBinding,
	type LoadOptions,
	loadNativeBinding,
} from "./native/loader.js";
export {
	createNativeBackend,
	type NativeBackendOptions,
	type NativeModelOptions,
} from "./native/native-backend.js";
export type {
	NativeBinding,
	NativeEngine,
	NativeEngineModel,
	NativeEngineOptions,
	NativeInfo,
	NativeSamples,
	NativeStep,
} from "./native/native-binding.js";
export {
	type CheckProgress,
	type CheckQuantizationOptions,
	checkQuantization,
	type QuantizationMeasure,
} from "./quantization/check-quantization.js";
export { GREEDY } from "./sampling/greedy.js";
