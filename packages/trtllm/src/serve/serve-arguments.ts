// SPDX-License-Identifier: Apache-2.0
import type { EngineArgs } from "../engine-args/merge-engine-args.js";
import { resolveEngineArgs, section } from "./resolve-engine-args.js";
import { isDiffusion, type ServeOptions } from "./serve-options.js";

/** A `trtllm-serve` to start. */
export interface ServeCommand {
	readonly command: string;
	/** Without the YAML file, whose path is known when it is written: `configFlag` and the path go to the end. */
	readonly argv: readonly string[];
	/** Engine arguments that have no flag; null when there are none. */
	readonly yaml: string | null;
	readonly configFlag: string;
	/** Variables on top of those that the engine inherits. */
	readonly env: Readonly<Record<string, string>>;
	/** All engine arguments, merged. */
	readonly engineArgs: EngineArgs;
	/** What was replaced or left out. */
	readonly warnings: readonly string[];
}

/**
 * Flags of trtllm-serve by the name of the engine argument, of its `serve` command (TensorRT-LLM's commands/serve.py).
 * Nested arguments stay in YAML in one piece: releases differ in whether a section there keeps what a flag has said.
 */
const FLAGS: ReadonlyMap<string, string> = new Map([
	["backend", "--backend"],
	["tensor_parallel_size", "--tp_size"],
	["pipeline_parallel_size", "--pp_size"],
	["context_parallel_size", "--cp_size"],
	["moe_expert_parallel_size", "--ep_size"],
	["gpus_per_node", "--gpus_per_node"],
	["max_batch_size", "--max_batch_size"],
	["max_num_tokens", "--max_num_tokens"],
	["max_seq_len", "--max_seq_len"],
	["max_beam_width", "--max_beam_width"],
	["tokenizer", "--tokenizer"],
	["custom_tokenizer", "--custom_tokenizer"],
	["otlp_traces_endpoint", "--otlp_traces_endpoint"],
	["trust_remote_code", "--trust_remote_code"],
	["enable_chunked_prefill", "--enable_chunked_prefill"],
]);
const ENCODER_FLAGS: ReadonlySet<string> = new Set([
	"max_batch_size",
	"max_num_tokens",
	"gpus_per_node",
	"trust_remote_code",
]);

/** Arguments, YAML and variables of a trtllm-serve. Pure; check the configuration first with `checkServeConfiguration`. */
export function serveArguments(options: ServeOptions): ServeCommand {
	const { args, warnings } = resolveEngineArgs(options);
	const [command, ...first] = options.command ?? ["trtllm-serve"];
	const { protocol = "openengine", host = "127.0.0.1", port } = options;
	const encoder = options.disaggregationMode === "encode";
	const { model, ...rest } = args;
	const argv = [...first, ...(encoder ? ["mm_embedding_serve"] : []), String(model)];
	if (protocol !== "http") argv.push("--grpc", "--grpc-protocol", protocol);
	argv.push("--host", host, "--port", String(port));
	const yaml: Record<string, unknown> = {};
	for (const [name, value] of Object.entries(rest)) {
		const flag = encoder && !ENCODER_FLAGS.has(name) ? undefined : FLAGS.get(name);
		if (isDiffusion(options) || !flag || value === false || value === null) {
			if (!isEmptySection(value)) yaml[name] = value;
		} else argv.push(flag, ...(value === true ? [] : [String(value)]));
	}
	return {
		command: command!,
		argv,
		yaml: Object.keys(yaml).length === 0 ? null : JSON.stringify(yaml, null, 2), // which is YAML too, and needs no library
		configFlag: isDiffusion(options)
			? "--extra_visual_gen_options"
			: encoder
				? "--extra_encoder_options"
				: "--extra_llm_api_options",
		env: variables(options, args),
		engineArgs: args,
		warnings,
	};
}

const isEmptySection = (value: unknown) =>
	typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;

function variables(options: ServeOptions, args: EngineArgs): Record<string, string> {
	const environment = options.environment ?? {};
	const set: Record<string, string> = {};
	if (
		environment["TLLM_LOG_LEVEL"] === undefined &&
		!skipsLogLevel(environment["DYN_SKIP_TRTLLM_LOG_FORMATTING"])
	)
		set["TLLM_LOG_LEVEL"] = engineLogLevel(environment["DYN_LOG"]);
	const streamed = section(section(args, "kv_cache_config"), "kv_events_config");
	// The engine's own publisher exists in the Python manager of KV cache blocks only.
	if (
		streamed["enable_kv_cache_events"] === true &&
		environment["TLLM_KV_CACHE_MANAGER_V2_BACKEND"] === undefined
	)
		set["TLLM_KV_CACHE_MANAGER_V2_BACKEND"] = "python";
	return set;
}

const skipsLogLevel = (value: string | undefined) => value === "1" || value === "true" || value === "TRUE";

const ENGINE_LEVELS: Readonly<Record<string, string>> = {
	trace: "TRACE",
	debug: "DEBUG",
	info: "INFO",
	warn: "WARNING",
	error: "ERROR",
	off: "ERROR",
};

/** The level of `DYN_LOG`, which may also have directives per module ("warn,tower=debug"), in TensorRT-LLM's words. */
function engineLogLevel(dynLog = "info"): string {
	const level = dynLog.split(",").find((directive) => !directive.includes("=")) ?? "info";
	return ENGINE_LEVELS[level.trim().toLowerCase()] ?? "INFO";
}
