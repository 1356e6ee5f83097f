// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from "node:util";
import { DynError } from "@dyn/common";
import { parse } from "yaml";
import type { MockerEngineOptions } from "../engine/mocker-options.js";

/** What a command line of trtllm-serve asks for, as far as a simulated engine can have it. */
export interface ServeArguments {
	readonly protocol: "openengine" | "smg" | "http";
	readonly host: string;
	readonly port: number;
	readonly servedModelName: string | undefined;
	readonly engine: MockerEngineOptions;
	/** Whether the context's length is told, as with `--max_seq_len`. */
	readonly tellsContextLength: boolean;
	/** Where rank 0 publishes its KV events, when the engine is to. */
	readonly kvEvents: { readonly host: string; readonly basePort: number } | null;
}

const VALUES = [
	...[
		"host",
		"port",
		"backend",
		"tp_size",
		"pp_size",
		"ep_size",
		"cp_size",
		"max_batch_size",
		"max_num_tokens",
	],
	...["max_seq_len", "max_beam_width", "kv_cache_free_gpu_memory_fraction", "free_gpu_memory_fraction"],
	...[
		"kv_cache_dtype",
		"num_postprocess_workers",
		"hf_revision",
		"gpus_per_node",
		"served_model_name",
		"tokenizer",
	],
	...[
		"custom_tokenizer",
		"chat_template",
		"reasoning_parser",
		"tool_parser",
		"config",
		"extra_llm_api_options",
	],
	...["otlp_traces_endpoint", "grpc-protocol", "custom_module_dirs", "media_io_kwargs", "log_level"],
];
const SWITCHES = ["enable_attention_dp", "enable_chunked_prefill", "trust_remote_code", "grpc"];

/** What `--help` prints: the options of TensorRT-LLM's `trtllm-serve` that are taken here, whether or not they change anything. */
export function serveUsage(): string {
	const options = [...VALUES.map((name) => `--${name} TEXT`), ...SWITCHES.map((name) => `--${name}`)].sort();
	return [
		"Usage: trtllm-serve serve [OPTIONS] MODEL",
		"",
		"  A double of TensorRT-LLM's trtllm-serve with a simulated engine: OpenEngine or SMG with --grpc, HTTP without.",
		"",
		"Options:",
		...[...options, "--help"].map((option) => `  ${option}`),
		"",
	].join("\n");
}

/**
 * Reads the arguments of TensorRT-LLM's `trtllm-serve [serve] MODEL ...` (its commands/serve.py).
 * @param readYaml content of the file of `--config` or `--extra_llm_api_options`, whose keys win
 * @throws DynError INVALID_ARGUMENT for what the real one does not know
 */
export function readServeArguments(
	argv: readonly string[],
	readYaml: (path: string) => string,
): ServeArguments {
	const { values, positionals } = parsed(argv[0] === "serve" ? argv.slice(1) : argv);
	const [model, ...others] = positionals;
	if (model === undefined) throw refusal("Missing argument 'MODEL'.");
	if (others.length > 0) throw refusal(`Got unexpected extra argument (${others[0]})`);
	const protocol = text(values["grpc-protocol"]);
	if (protocol !== undefined && values["grpc"] !== true) throw refusal("--grpc-protocol requires --grpc");
	if (protocol !== undefined && protocol !== "openengine" && protocol !== "smg")
		throw refusal(
			`Invalid value for '--grpc-protocol': ${JSON.stringify(protocol)} is not one of 'smg', 'openengine'.`,
		);
	const path = text(values["config"]) ?? text(values["extra_llm_api_options"]);
	const yaml = path === undefined ? {} : ((parse(readYaml(path)) ?? {}) as Record<string, unknown>);
	const kvCache = (yaml["kv_cache_config"] ?? {}) as Record<string, unknown>;
	const number = (flag: string, name = flag) => numberOf(name, yaml[name] ?? values[flag]);
	const maxTokens = numberOf("max_tokens", kvCache["max_tokens"]);
	const blockSize = numberOf("tokens_per_block", kvCache["tokens_per_block"]) ?? 32;
	const maxModelLen = number("max_seq_len");
	const attentionDp = yaml["enable_attention_dp"] ?? values["enable_attention_dp"];
	return {
		protocol: values["grpc"] === true ? (protocol ?? "smg") : "http",
		host: text(values["host"]) ?? "localhost",
		port: numberOf("port", values["port"]) ?? 8000,
		servedModelName: text(values["served_model_name"]),
		engine: {
			modelName: model,
			blockSize,
			numGpuBlocks: maxTokens === undefined ? undefined : Math.ceil(maxTokens / blockSize),
			maxModelLen,
			maxNumSeqs: number("max_batch_size") ?? 2048,
			maxNumBatchedTokens: number("max_num_tokens") ?? 8192,
			dpSize: attentionDp === true ? (number("tp_size", "tensor_parallel_size") ?? 1) : 1,
		},
		tellsContextLength: maxModelLen !== undefined,
		kvEvents: kvEventsOf((kvCache["kv_events_config"] ?? {}) as Record<string, unknown>),
	};
}

function kvEventsOf(config: Record<string, unknown>): ServeArguments["kvEvents"] {
	if (config["enable_kv_cache_events"] !== true) return null;
	const [, host, port] = /^tcp:\/\/(.+):(\d+)$/.exec(String(config["endpoint"])) ?? [];
	if (host === undefined) throw refusal("kv_events_config.endpoint must be a tcp:// address with a port");
	return { host, basePort: Number(port) };
}

function parsed(args: readonly string[]) {
	try {
		return parseArgs({
			args: [...args],
			allowPositionals: true,
			options: {
				...Object.fromEntries(VALUES.map((name) => [name, { type: "string" as const }])),
				...Object.fromEntries(SWITCHES.map((name) => [name, { type: "boolean" as const }])),
			},
		});
	} catch (error) {
		throw refusal((error as Error).message);
	}
}

function text(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}

function numberOf(name: string, value: unknown): number | undefined {
	if (value === undefined || value === null) return undefined;
	const number = Number(value);
	if (Number.isFinite(number)) return number;
	throw refusal(`Invalid value for '--${name}': ${JSON.stringify(value)} is not a valid integer.`);
}

function refusal(message: string): DynError {
	return new DynError("INVALID_ARGUMENT", message);
}
