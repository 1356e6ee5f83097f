// SPDX-License-Identifier: Apache-2.0
export type { Checkpoint, GgufValue, TensorInfo, TensorType } from "./checkpoint/checkpoint.js";
