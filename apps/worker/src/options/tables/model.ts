// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

/** What is served, and under which name. */
export const model: readonly OptionSpec[] = [
	{
		name: "model",
		flags: ["model", "model-path", "m"],
		env: ["DYN_TRTLLM_MODEL"],
		type: "string",
		value: "MODEL",
		default: "smollm2-135m-instruct",
		help: "Folder, .gguf file, packaged model or org/name",
		group: "Model",
	},
	{
		name: "servedModelName",
		flags: ["served-model-name"],
		env: ["DYN_TRTLLM_SERVED_MODEL_NAME"],
		type: "string",
		value: "NAME",
		help: "Name in requests (default: the model's)",
		group: "Model",
	},
	{
		name: "tokenizer",
		flags: ["tokenizer"],
		env: ["DYN_TOKENIZER"],
		type: "string",
		value: "PATH",
		help: "Folder or .gguf file with another tokenizer and template",
		group: "Model",
	},
	{
		name: "chatTemplate",
		flags: ["custom-jinja-template"],
		env: ["DYN_CUSTOM_JINJA_TEMPLATE"],
		type: "string",
		value: "FILE",
		help: "Jinja file that replaces the chat template",
		group: "Model",
	},
	{
		name: "engineDir",
		flags: ["engine-dir"],
		type: "string",
		value: "DIR",
		help: "",
		group: "Model",
		gone: "TensorRT-LLM no longer serves prebuilt engines; pass the checkpoint with --model",
	},
];
