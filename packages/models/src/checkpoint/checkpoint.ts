// SPDX-License-Identifier: Apache-2.0

/** Storage types of tensors: safetensors dtypes and GGML types, one name each. */
export type TensorType =
	| "F32"
	| "F16"
	| "BF16"
	| "Q4_0"
	| "Q4_1"
	| "Q5_0"
	| "Q5_1"
	| "Q8_0"
	| "Q4_K"
	| "Q5_K"
	| "Q6_K";

/** Where one tensor's bytes are. */
export interface TensorInfo {
	readonly name: string;
	readonly type: TensorType;
	/** Outermost dimension first, as in safetensors: a matrix is [rows, cols] with cols contiguous. */
	readonly shape: readonly number[];
	readonly file: string;
	/** Bytes from the start of the file. */
	readonly offset: number;
	readonly byteLength: number;
}

export type GgufValue = string | number | bigint | boolean | readonly GgufValue[];

/** A checkpoint's headers; tensor data stays on disk. */
export interface Checkpoint {
	readonly format: "safetensors" | "gguf";
	/** Folder (safetensors) or file (GGUF). */
	readonly path: string;
	readonly tensors: ReadonlyMap<string, TensorInfo>;
	/** config.json of a safetensors folder; null for GGUF. */
	readonly config: Readonly<Record<string, unknown>> | null;
	/** Key-value metadata of a GGUF file; empty for safetensors. */
	readonly metadata: ReadonlyMap<string, GgufValue>;
}
