// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";
import { deployment, graceSeconds } from "./deployment-table.js";
import { telemetry } from "./telemetry-table.js";

const general: readonly OptionSpec[] = [
	{ name: "help", flags: ["help", "h"], type: "boolean", help: "Show this help", group: "General" },
	{ name: "version", flags: ["version", "V"], type: "boolean", help: "Show the version", group: "General" },
	{
		name: "logLevel",
		flags: ["log-level"],
		env: ["DYN_LOG"],
		type: "string",
		value: "LEVEL",
		choices: ["trace", "debug", "info", "warn", "error", "off"],
		default: "info",
		help: "Least severe log lines to show",
		group: "General",
	},
	{
		name: "logFormat",
		flags: ["log-format"],
		env: ["DYN_LOG_FORMAT"],
		type: "string",
		value: "FORMAT",
		choices: ["pretty", "json"],
		help: "Log lines for people or for programs (default: pretty on a terminal)",
		group: "General",
	},
	{
		name: "logJsonl",
		flags: ["log-jsonl"],
		env: ["DYN_LOGGING_JSONL"],
		type: "boolean",
		help: "Dynamo's way to ask for log lines for programs",
		group: "General",
	},
];

const store: readonly OptionSpec[] = [
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

const model: readonly OptionSpec[] = [
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

const engine: readonly OptionSpec[] = [
	{
		name: "maxBatchSize",
		flags: ["max-batch-size"],
		env: ["DYN_TRTLLM_MAX_BATCH_SIZE"],
		type: "integer",
		range: [1, 4096],
		value: "N",
		default: 16,
		help: "Most sequences that run at once",
		group: "Engine",
	},
	{
		name: "maxNumTokens",
		flags: ["max-num-tokens"],
		env: ["DYN_TRTLLM_MAX_NUM_TOKENS"],
		type: "integer",
		range: [1, 65_536],
		value: "N",
		default: 512,
		help: "Most tokens of one step",
		group: "Engine",
	},
	{
		name: "maxSeqLen",
		flags: ["max-seq-len"],
		env: ["DYN_TRTLLM_MAX_SEQ_LEN"],
		type: "integer",
		range: [1, 10_000_000],
		value: "N",
		help: "Most tokens of prompt and answer (default: the model's)",
		group: "Engine",
	},
	{
		name: "kvBlockSize",
		flags: ["kv-block-size"],
		env: ["DYN_TRTLLM_KV_BLOCK_SIZE"],
		type: "integer",
		range: [1, 1024],
		value: "N",
		default: 32,
		help: "Tokens per KV block; the embedded engine has 32",
		group: "Engine",
	},
	{
		name: "kvMemoryFraction",
		flags: ["free-gpu-memory-fraction", "kv-cache-free-gpu-mem-fraction"],
		env: ["DYN_TRTLLM_FREE_GPU_MEMORY_FRACTION"],
		type: "number",
		range: [0.001, 1],
		value: "F",
		default: 0.3,
		help: "Share of the free memory for the KV cache",
		group: "Engine",
	},
	{
		name: "threads",
		flags: ["threads"],
		env: ["DYN_THREADS"],
		type: "integer",
		range: [1, 1024],
		value: "N",
		help: "Threads of the embedded engine (default: all cores)",
		group: "Engine",
	},
	{
		name: "extraEngineArgs",
		flags: ["extra-engine-args"],
		env: ["DYN_TRTLLM_EXTRA_ENGINE_ARGS"],
		type: "string",
		value: "FILE",
		help: "YAML file of engine arguments, merged over the flags",
		group: "Engine",
	},
	{
		name: "overrideEngineArgs",
		flags: ["override-engine-args"],
		env: ["DYN_TRTLLM_OVERRIDE_ENGINE_ARGS"],
		type: "string",
		value: "JSON",
		help: "JSON object of engine arguments, merged last",
		group: "Engine",
	},
	{
		name: "nativePath",
		flags: ["native-path"],
		env: ["DYN_NATIVE_PATH"],
		type: "string",
		value: "FILE",
		help: "Native engine binary to load instead of the package's own",
		group: "Engine",
	},
	{
		name: "testLogitsProcessor",
		flags: ["enable-test-logits-processor"],
		env: ["DYN_ENABLE_TEST_LOGITS_PROCESSOR", "DYNAMO_ENABLE_TEST_LOGITS_PROCESSOR"],
		type: "boolean",
		help: "Answer every request with the hello-world logits processor",
		group: "Engine",
	},
];

const naming: readonly OptionSpec[] = [
	{
		name: "namespace",
		flags: ["namespace"],
		env: ["DYN_NAMESPACE"],
		type: "string",
		value: "NAME",
		default: "dynamo",
		help: "Namespace of the endpoint",
		group: "Endpoint",
	},
	{
		name: "component",
		flags: ["component-name"],
		env: ["DYN_COMPONENT"],
		type: "string",
		value: "NAME",
		default: "backend",
		help: "Component of the endpoint",
		group: "Endpoint",
	},
	{
		name: "endpoint",
		flags: ["endpoint"],
		env: ["DYN_ENDPOINT"],
		type: "string",
		value: "NAME",
		default: "generate",
		help: "Endpoint name, or a whole dyn://namespace.component.endpoint",
		group: "Endpoint",
	},
	{
		name: "canaryWait",
		flags: ["canary-wait-time"],
		env: ["DYN_CANARY_WAIT_TIME"],
		type: "number",
		range: [0.1, 86_400],
		value: "SECONDS",
		help: "Silence after which a canary request checks the engine (default: no canary)",
		group: "Endpoint",
	},
];

const status: readonly OptionSpec[] = [
	{
		name: "systemPort",
		flags: ["system-port"],
		env: ["DYN_SYSTEM_PORT"],
		type: "integer",
		range: [-1, 65_535],
		value: "PORT",
		default: -1,
		help: "Port of /health, /live and /metrics of the worker (-1: none)",
		group: "Endpoint",
	},
];

const http: readonly OptionSpec[] = [
	{
		name: "httpHost",
		flags: ["http-host"],
		env: ["DYN_HTTP_HOST"],
		type: "string",
		value: "HOST",
		default: "127.0.0.1",
		help: "Address to listen on (0.0.0.0: every interface)",
		group: "HTTP",
	},
	{
		name: "httpPort",
		flags: ["http-port", "p"],
		env: ["DYN_HTTP_PORT"],
		type: "integer",
		range: [0, 65_535],
		value: "PORT",
		default: 8000,
		help: "Port to listen on (0: any free one)",
		group: "HTTP",
	},
	{
		name: "apiKeys",
		flags: ["api-key"],
		env: ["DYN_API_KEYS"],
		type: "string",
		repeated: true,
		value: "KEY",
		help: "Require this key on /v1; may be given more than once",
		group: "HTTP",
	},
	{
		name: "bodyLimitMb",
		flags: ["http-body-limit-mb"],
		env: ["DYN_HTTP_BODY_LIMIT_MB"],
		type: "integer",
		range: [1, 4096],
		value: "MB",
		default: 45,
		help: "Largest request body",
		group: "HTTP",
	},
	{
		name: "migrationLimit",
		flags: ["migration-limit"],
		env: ["DYN_MIGRATION_LIMIT"],
		type: "integer",
		range: [0, 1000],
		value: "N",
		default: 3,
		help: "Further workers that may take a request over when its worker fails (0: none)",
		group: "HTTP",
	},
	{
		name: "drainSeconds",
		flags: ["graceful-shutdown-timeout"],
		env: ["DYN_HTTP_GRACEFUL_SHUTDOWN_TIMEOUT_SECS"],
		type: "integer",
		range: [0, 86_400],
		value: "SECONDS",
		default: 600,
		help: "Time that running requests get after SIGTERM",
		group: "HTTP",
	},
];

export interface CommandTable {
	readonly name: string;
	readonly summary: string;
	readonly usage: string;
	readonly examples: readonly (readonly [command: string, does: string])[];
	readonly options: readonly OptionSpec[];
	/** Whether words follow the command's name. */
	readonly takesWords?: boolean;
}

export const RUN: CommandTable = {
	name: "run",
	summary: "Serve a model: worker and HTTP frontend in one process (the default)",
	usage: "dyn-worker [run] [options]",
	examples: [
		["dyn-worker", "serve the default model on http://127.0.0.1:8000"],
		["dyn-worker --model ./Qwen3-0.6B --http-port 9000", "serve a local checkpoint"],
		["dyn-worker --model org/name:file.gguf", "pull a GGUF file from the Hugging Face hub and serve it"],
	],
	options: [...model, ...engine, ...http, ...naming, ...status, ...store, ...telemetry, ...general],
};

export const WORKER: CommandTable = {
	name: "worker",
	summary: "Serve a model as an endpoint, without HTTP",
	usage: "dyn-worker worker [options]",
	examples: [
		["dyn-worker worker", "a worker for every frontend of this host"],
		["dyn-worker worker --system-port 9090", "with health and metrics on port 9090"],
		["dyn-worker worker --discovery-backend etcd", "a worker of a fleet that finds itself through etcd"],
	],
	options: [
		...model,
		...engine,
		...naming,
		...status,
		...deployment,
		graceSeconds,
		...store,
		...telemetry,
		...general,
	],
};

export const FRONTEND: CommandTable = {
	name: "frontend",
	summary: "The HTTP frontend alone",
	usage: "dyn-worker frontend [options]",
	examples: [["dyn-worker frontend --http-port 8080", "a frontend for the workers that discovery knows"]],
	options: [...http, ...deployment, ...telemetry, ...general],
};

const workers: OptionSpec = {
	name: "workers",
	flags: ["workers"],
	type: "integer",
	range: [1, 64],
	value: "N",
	default: 2,
	help: "Worker processes",
	group: "Cluster",
};

export const CLUSTER: CommandTable = {
	name: "cluster",
	summary: "A frontend and several workers as processes of this host, for trying things",
	usage: "dyn-worker cluster up [options]",
	examples: [
		["dyn-worker cluster up --workers 3", "three workers behind http://127.0.0.1:8000"],
		["dyn-worker cluster up --discovery-backend etcd", "the same, found through a running etcd"],
	],
	options: [
		workers,
		...http,
		...model,
		...engine,
		...naming,
		...deployment,
		...store,
		...telemetry,
		...general,
	],
	takesWords: true,
};

export const CHAT: CommandTable = {
	name: "chat",
	summary: "Chat in the terminal",
	usage: "dyn-worker chat [options]",
	examples: [
		["dyn-worker chat", "chat with the default model, in this process"],
		["dyn-worker chat --url http://localhost:8000", "chat with a running server"],
		["echo 'Say hello.' | dyn-worker chat", "one question, one answer"],
	],
	options: [
		{
			name: "url",
			flags: ["url"],
			type: "string",
			value: "URL",
			help: "Server to talk to (default: none, the model runs here)",
			group: "Chat",
		},
		{
			name: "temperature",
			flags: ["temperature"],
			type: "number",
			range: [0, 2],
			value: "T",
			default: 0.7,
			help: "0 is deterministic",
			group: "Chat",
		},
		{
			name: "maxTokens",
			flags: ["max-tokens"],
			type: "integer",
			range: [1, 1_000_000],
			value: "N",
			default: 512,
			help: "Longest answer",
			group: "Chat",
		},
		{
			name: "system",
			flags: ["system"],
			type: "string",
			value: "TEXT",
			help: "System message",
			group: "Chat",
		},
		...model,
		...engine,
		...store,
		...general,
	],
};

export const MODEL: CommandTable = {
	name: "model",
	summary: "Pull, list, find and remove models",
	usage: "dyn-worker model pull|list|path|remove [MODEL] [options]",
	examples: [
		["dyn-worker model pull smollm2-135m-instruct", "get a model before it is needed"],
		["dyn-worker model list", "what is in the store"],
		["dyn-worker model path smollm2-135m-instruct", "where a model is"],
		["dyn-worker model remove smollm2-135m-instruct", "delete it"],
	],
	options: [...store, ...general],
	takesWords: true,
};

export const DOCTOR: CommandTable = {
	name: "doctor",
	summary: "Check this machine and say what to mend",
	usage: "dyn-worker doctor [options]",
	examples: [["dyn-worker doctor", "one line per check, with the fix where one fails"]],
	options: [...http.slice(0, 2), ...store, engine.find(({ name }) => name === "nativePath")!, ...general],
};

export const COMMANDS: readonly CommandTable[] = [RUN, WORKER, FRONTEND, CLUSTER, CHAT, MODEL, DOCTOR];
