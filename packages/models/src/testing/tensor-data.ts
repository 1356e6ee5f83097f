// SPDX-License-Identifier: Apache-2.0
import type { TensorType } from "../checkpoint/checkpoint.js";

/** A tensor to be written. `bytes` is not checked against `type` and `shape`: tests write malformed files too. */
export interface TensorData {
	readonly name: string;
	readonly type: TensorType;
	/** Outermost dimension first. */
	readonly shape: readonly number[];
	readonly bytes: Uint8Array;
}

/** Values, row-major, as an F32 tensor. */
export function float32Tensor(name: string, shape: readonly number[], values: readonly number[]): TensorData {
	return { name, type: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
