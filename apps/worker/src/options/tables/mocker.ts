// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

const MANY = 1_000_000_000;

/** A simulated engine, by the flags of Dynamo's `dynamo.mocker`. */
const engine = (
	name: string,
	flag: string,
	type: OptionSpec["type"],
	help: string,
	details: Partial<OptionSpec> = {},
): OptionSpec => ({ name, flags: [flag], type, value: "N", help, group: "Simulated engine", ...details });

const count = { range: [1, MANY] } as const;

export const mocker: readonly OptionSpec[] = [
	{
		name: "model",
		flags: ["model-path", "model", "m"],
		env: ["DYN_MODEL_PATH"],
		type: "string",
		value: "MODEL",
		default: "smollm2-135m-instruct",
		help: "Folder, .gguf file, packaged model or org/name, for the tokenizer",
		group: "Model",
	},
	{
		name: "servedModelName",
		flags: ["model-name", "served-model-name"],
		type: "string",
		value: "NAME",
		help: "Name in requests (default: the model's)",
		group: "Model",
	},
	engine("speedupRatio", "speedup-ratio", "number", "Divides every modelled time; 0: nothing takes any", {
		range: [0, MANY],
		default: 1,
	}),
	engine("decodeSpeedupRatio", "decode-speedup-ratio", "number", "Divides the time of decoding once more", {
		range: [0.001, MANY],
		default: 1,
	}),
	engine("numGpuBlocks", "num-gpu-blocks-override", "integer", "KV blocks of each rank", {
		...count,
		default: 16_384,
	}),
	engine("blockSize", "block-size", "integer", "Tokens per KV block", { range: [2, MANY], default: 32 }),
	engine("maxModelLen", "max-model-len", "integer", "Most tokens of prompt and answer", {
		range: [2, MANY],
		default: 32_768,
	}),
	engine("maxNumSeqs", "max-num-seqs", "integer", "Most sequences that run at once, per rank", {
		...count,
		default: 256,
	}),
	engine("maxNumBatchedTokens", "max-num-batched-tokens", "integer", "Most tokens of one step, per rank", {
		...count,
		default: 8192,
	}),
	engine("dataParallelSize", "data-parallel-size", "integer", "Data-parallel ranks", {
		range: [1, 1024],
		default: 1,
	}),
	engine("startupTime", "startup-time", "number", "Time that the engine takes to start", {
		range: [0, 86_400],
		value: "SECONDS",
		default: 0,
	}),
	engine("numWorkers", "num-workers", "integer", "Workers in this process", { range: [1, 1024], default: 1 }),
	engine("disaggregationMode", "disaggregation-mode", "string", "Part of the requests that the workers do", {
		choices: ["agg", "prefill", "decode"],
		default: "agg",
	}),
	{
		name: "serve",
		flags: ["serve"],
		type: "string",
		choices: ["openengine", "smg", "http"],
		help: "Be an engine server that speaks this protocol, instead of a worker",
		group: "Engine server",
	},
	{
		name: "listen",
		flags: ["listen"],
		type: "string",
		value: "HOST:PORT",
		default: "127.0.0.1:50051",
		help: "Address of the engine server",
		group: "Engine server",
	},
	{
		name: "personality",
		flags: ["personality"],
		type: "string",
		choices: ["trtllm", "strict"],
		default: "trtllm",
		help: "Every way in which TensorRT-LLM differs from OpenEngine, or none",
		group: "Engine server",
	},
];
