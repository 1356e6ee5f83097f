// SPDX-License-Identifier: Apache-2.0
export type { Checkpoint, GgufValue, TensorInfo, TensorType } from "./checkpoint/checkpoint.js";
export { dequantize } from "./checkpoint/dequantize.js";
export { openCheckpoint } from "./checkpoint/open-checkpoint.js";
export { type QuantizedType, quantize } from "./checkpoint/quantize.js";
export { readTensor } from "./checkpoint/read-tensor.js";
export { readSafetensors } from "./checkpoint/safetensors.js";
export { tensorByteLength } from "./checkpoint/tensor-type.js";
export { describeModelFiles, type ModelFilesOptions } from "./files/describe-model-files.js";
export { GgufMetadata } from "./gguf/gguf-metadata.js";
export { type GgufTokenIds, type GgufTokenizer, ggufTokenIds, ggufTokenizer } from "./gguf/gguf-tokenizer.js";
