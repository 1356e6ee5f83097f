// SPDX-License-Identifier: Apache-2.0

export type { TensorData } from "./tensor-data.js";
export { float32Tensor } from "./tensor-data.js";
export { encodeGguf, writeGguf } from "./write-gguf.js";
export { encodeSafetensors, writeSafetensors } from "./write-safetensors.js";
