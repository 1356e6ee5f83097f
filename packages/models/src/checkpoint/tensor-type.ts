// SPDX-License-Identifier: Apache-2.0
import type { TensorType } from "./checkpoint.js";

/** Values per block and bytes per block of every storage type (GGML block layouts, gguf v3). */
const LAYOUTS: Readonly<Record<TensorType, { readonly values: number; readonly bytes: number }>> = {
	F32: { values: 1, bytes: 4 },
	F16: { values: 1, bytes: 2 },
	BF16: { values: 1, bytes: 2 },
	Q4_0: { values: 32, bytes: 18 },
	Q4_1: { values: 32, bytes: 20 },
	Q5_0: { values: 32, bytes: 22 },
	Q5_1: { values: 32, bytes: 24 },
	Q8_0: { values: 32, bytes: 34 },
	Q4_K: { values: 256, bytes: 144 },
	Q5_K: { values: 256, bytes: 176 },
	Q6_K: { values: 256, bytes: 210 },
};

/** Bytes of `count` values, or null when `count` is not a whole number of blocks. */
export function tensorByteLength(type: TensorType, count: number): number | null {
	const { values, bytes } = LAYOUTS[type];
	return count % values === 0 ? (count / values) * bytes : null;
}
