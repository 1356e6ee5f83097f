// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

/** Where models come from and are kept. */
export const store: readonly OptionSpec[] = [
	{
		name: "modelStore",
		flags: ["model-store"],
		env: ["DYN_MODEL_STORE"],
		type: "string",
		value: "DIR",
		default: "~/.cache/dyn/models",
		help: "Where pulled models are kept",
		group: "Model store",
	},
	{
		name: "hfHome",
		flags: ["hf-home"],
		env: ["HF_HOME"],
		type: "string",
		value: "DIR",
		default: "~/.cache/huggingface",
		help: "Hugging Face cache to look into",
		group: "Model store",
	},
	{
		name: "hfEndpoint",
		flags: ["hf-endpoint"],
		env: ["HF_ENDPOINT"],
		type: "string",
		value: "URL",
		default: "https://huggingface.co",
		help: "Hub to download from",
		group: "Model store",
	},
	{
		name: "hfToken",
		flags: ["hf-token"],
		env: ["HF_TOKEN"],
		type: "string",
		value: "TOKEN",
		help: "Token for gated models",
		group: "Model store",
	},
	{
		name: "offline",
		flags: ["offline"],
		env: ["DYN_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"],
		type: "boolean",
		help: "Never touch the network",
		group: "Model store",
	},
];
