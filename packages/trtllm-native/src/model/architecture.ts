// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ModelSpec } from "./model-spec.js";

/** `model_type` of config.json and `general.architecture` of GGUF agree for these families. */
export function requireArchitecture(where: string, value: unknown): ModelSpec["architecture"] {
	if (value === "llama" || value === "qwen2" || value === "qwen3") return value;
	throw new DynError(
		"MODEL_FORMAT",
		`${where}: the architecture ${JSON.stringify(value)} is not supported; supported: llama, qwen2, qwen3`,
		{
			details: { architecture: value },
		},
	);
}
