// SPDX-License-Identifier: Apache-2.0
import { type EngineArgs, isPlain, layerEngineArgs } from "../engine-args/merge-engine-args.js";
import { generatesText, isDiffusion, isDisaggregated, type ServeOptions } from "./serve-options.js";

/** Events that the engine keeps for pollers when KV events are published and nobody has said how many (Dynamo's number). */
const KV_EVENT_BUFFER = 100_000;
/** Tokens per KV block where nobody has said (TensorRT-LLM's default). */
const TOKENS_PER_BLOCK = 32;
/** What AutoDeploy does not take (Dynamo's list). */
const NOT_FOR_AUTO_DEPLOY = [
	"tensor_parallel_size",
	"pipeline_parallel_size",
	"moe_expert_parallel_size",
	"enable_attention_dp",
	"scheduler_config",
];

export interface ResolvedEngineArgs {
	/** Arguments by TensorRT-LLM's names. */
	readonly args: EngineArgs;
	/** What was replaced or left out, with the dotted path of the argument. */
	readonly warnings: readonly string[];
}

/**
 * The engine's arguments in Dynamo's order: flags, YAML, override or dynamic flags; then what the role and the publishers
 * need and nobody has set. Pure; `checkServeConfiguration` says whether the result makes sense.
 */
export function resolveEngineArgs(options: ServeOptions): ResolvedEngineArgs {
	const warnings: string[] = [];
	const merged = layerEngineArgs(
		[
			["flags", fromFlags(options)],
			["the file of --extra-engine-args", options.extraEngineArgs ?? {}],
			["--override-engine-args", options.overrideEngineArgs ?? {}],
			["--trtllm flags", options.dynamicEngineArgs ?? {}],
		],
		(path, by) => warnings.push(`${path} is replaced by ${by}`),
	);
	const stripped = strip(merged, warnings);
	return { args: generatesText(options) ? complete(stripped, options) : stripped, warnings };
}

function fromFlags(options: ServeOptions): EngineArgs {
	if (isDiffusion(options)) return { model: options.model };
	const everyModel = {
		model: options.model,
		gpus_per_node: options.gpusPerNode,
		max_batch_size: options.maxBatchSize,
		max_num_tokens: options.maxNumTokens,
	};
	if (!generatesText(options)) return everyModel;
	return {
		...everyModel,
		backend: "pytorch",
		tensor_parallel_size: options.tensorParallelSize,
		pipeline_parallel_size: options.pipelineParallelSize,
		moe_expert_parallel_size: options.expertParallelSize,
		enable_attention_dp: options.enableAttentionDp,
		max_seq_len: options.maxSeqLen,
		max_beam_width: options.maxBeamWidth,
		load_format: options.loadFormat === "auto" ? undefined : options.loadFormat,
		guided_decoding_backend: options.guidedDecodingBackend,
		kv_cache_config: {
			free_gpu_memory_fraction: options.freeGpuMemoryFraction,
			tokens_per_block: options.kvBlockSize,
		},
		...(options.otlpTracesEndpoint === undefined
			? {}
			: { otlp_traces_endpoint: options.otlpTracesEndpoint, return_perf_metrics: true }),
	};
}

function strip(merged: EngineArgs, warnings: string[]): EngineArgs {
	const args: Record<string, unknown> = { ...merged };
	if (args["num_postprocess_workers"] !== undefined) {
		delete args["num_postprocess_workers"];
		warnings.push(
			"num_postprocess_workers is left out: answers are made of token ids here, there is nothing to post-process in the engine",
		);
	}
	for (const name of args["backend"] === "_autodeploy" ? NOT_FOR_AUTO_DEPLOY : []) {
		if (args[name] === undefined) continue;
		delete args[name];
		warnings.push(`${name} is left out: the AutoDeploy backend does not take it`);
	}
	return args;
}

/** Sets what is needed and unset; never replaces what somebody wrote. */
function complete(args: EngineArgs, options: ServeOptions): EngineArgs {
	const needed: [string, EngineArgs][] = [];
	const kvCache = section(args, "kv_cache_config");
	if (options.kvEventsEndpoint !== undefined)
		needed.push(["events", { kv_cache_config: streamedEvents(options.kvEventsEndpoint) }]);
	else if (options.publishKvEvents && !kvCache["kv_events_config"] && !kvCache["event_buffer_max_size"])
		// A buffer of 0 counts as unset: it would mean to publish nothing.
		args = { ...args, kv_cache_config: { ...kvCache, event_buffer_max_size: KV_EVENT_BUFFER } };
	if (options.publishMetrics) needed.push(["metrics", { enable_iter_perf_stats: true }]);
	if (isDisaggregated(options)) {
		needed.push(["transfer", { cache_transceiver_config: { backend: "DEFAULT", ...bufferFor(args) } }]);
		if (options.disaggregationMode === "prefill")
			needed.push(["prefill", { disable_overlap_scheduler: true }]);
	}
	return layerEngineArgs([...needed, ["args", args]], () => {});
}

const streamedEvents = (endpoint: string): EngineArgs => ({
	use_kv_cache_manager_v2: true,
	kv_events_config: { enable_kv_cache_events: true, publisher: "zmq", endpoint },
});

/** The smallest transfer buffer that holds any prompt: whole blocks, more tokens than the longest sequence has. */
function bufferFor(args: EngineArgs): EngineArgs {
	const longest = args["max_seq_len"];
	if (typeof longest !== "number") return {};
	const configured = section(args, "kv_cache_config")["tokens_per_block"];
	const block = typeof configured === "number" && configured > 0 ? configured : TOKENS_PER_BLOCK;
	return { max_tokens_in_buffer: (Math.floor(longest / block) + 1) * block };
}

/** A nested mapping of the arguments; empty when absent. */
export function section(args: EngineArgs, name: string): EngineArgs {
	const value = args[name];
	return isPlain(value) ? value : {};
}
