// SPDX-License-Identifier: Apache-2.0
import type { Fields } from "./fields.js";
import type { ModelSpec } from "./model-spec.js";

/** `model_type` of config.json and `general.architecture` of GGUF agree for these families. */
export function requireArchitecture(fields: Fields, key: string): ModelSpec["architecture"] {
	const value = fields.raw(key);
	if (value === "llama" || value === "qwen2" || value === "qwen3") return value;
	throw fields.wrong(key, "an architecture that this engine computes (llama, qwen2, qwen3)", value);
}
