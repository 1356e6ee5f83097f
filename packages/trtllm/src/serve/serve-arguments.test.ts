// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { serveArguments } from "./serve-arguments.js";
import type { Environment, ServeOptions } from "./serve-options.js";

const OPTIONS: ServeOptions = { model: "Qwen/Qwen3-0.6B", port: 50051 };

const served = (options: Partial<ServeOptions> = {}) => {
	const command = serveArguments({ ...OPTIONS, ...options });
	return {
		...command,
		config: command.yaml === null ? null : (parse(command.yaml) as Record<string, unknown>),
	};
};

describe("argv", () => {
	it("asks for OpenEngine on loopback unless told otherwise", () => {
		const { command, argv, yaml } = served();
		expect([command, ...argv].join(" ")).toBe(
			"trtllm-serve Qwen/Qwen3-0.6B --grpc --grpc-protocol openengine --host 127.0.0.1 --port 50051 --backend pytorch",
		);
		expect(yaml).toBeNull();
	});

	it.each<[Partial<ServeOptions>, string]>([
		[{ protocol: "smg" }, "--grpc --grpc-protocol smg"],
		[{ host: "10.0.0.7" }, "--host 10.0.0.7"],
		[
			{ tensorParallelSize: 8, pipelineParallelSize: 2, expertParallelSize: 4 },
			"--tp_size 8 --pp_size 2 --ep_size 4",
		],
		[{ maxBatchSize: 64 }, "--max_batch_size 64"],
		[{ maxNumTokens: 8192 }, "--max_num_tokens 8192"],
		[{ maxSeqLen: 4096 }, "--max_seq_len 4096"],
		[{ maxBeamWidth: 4 }, "--max_beam_width 4"],
		[{ gpusPerNode: 4 }, "--gpus_per_node 4"],
		[{ otlpTracesEndpoint: "http://localhost:4317" }, "--otlp_traces_endpoint http://localhost:4317"],
		[{ extraEngineArgs: { enable_chunked_prefill: true } }, "--enable_chunked_prefill"],
		[{ overrideEngineArgs: { model: "other/model" } }, "other/model --grpc"],
		[{ command: ["python3", "-m", "tensorrt_llm.commands.serve"] }, "-m tensorrt_llm.commands.serve Qwen/"],
	])("%j has %s", (options, words) => expect(served(options).argv.join(" ")).toContain(words));

	it("has no gRPC over HTTP", () => {
		expect(served({ protocol: "http" }).argv.join(" ")).not.toContain("grpc");
	});

	it("serves encoders and diffusion models by their own commands and files", () => {
		const encoder = served({
			disaggregationMode: "encode",
			protocol: "http",
			maxBatchSize: 4,
			maxSeqLen: 99,
		});
		expect(encoder.argv.join(" ")).toBe(
			"mm_embedding_serve Qwen/Qwen3-0.6B --host 127.0.0.1 --port 50051 --max_batch_size 4",
		);
		expect(encoder.configFlag).toBe("--extra_encoder_options");
		const diffusion = served({
			modality: "image_diffusion",
			protocol: "http",
			maxBatchSize: 4,
			extraEngineArgs: { torch_compile: { enable: false } },
		});
		expect(diffusion.argv.join(" ")).toBe("Qwen/Qwen3-0.6B --host 127.0.0.1 --port 50051");
		expect(diffusion.configFlag).toBe("--extra_visual_gen_options");
		expect(diffusion.config).toEqual({ torch_compile: { enable: false } });
	});
});

describe("engine arguments", () => {
	it("lets the YAML beat the flags and the override beat the YAML, and says so with dotted paths", () => {
		const { argv, config, warnings } = served({
			maxSeqLen: 131_072,
			freeGpuMemoryFraction: 0.9,
			extraEngineArgs: { max_seq_len: 32_768, kv_cache_config: { free_gpu_memory_fraction: 0.5 } },
			overrideEngineArgs: { kv_cache_config: { free_gpu_memory_fraction: 0.3, enable_block_reuse: true } },
		});
		expect(argv.join(" ")).toContain("--max_seq_len 32768");
		expect(config).toEqual({ kv_cache_config: { free_gpu_memory_fraction: 0.3, enable_block_reuse: true } });
		expect(warnings).toEqual([
			"max_seq_len is replaced by the file of --extra-engine-args",
			"kv_cache_config.free_gpu_memory_fraction is replaced by the file of --extra-engine-args",
			"kv_cache_config.free_gpu_memory_fraction is replaced by --override-engine-args",
		]);
	});

	it.each<[string, Partial<ServeOptions>, Record<string, unknown> | null]>([
		[
			"block size and memory",
			{ kvBlockSize: 64, freeGpuMemoryFraction: 0.8 },
			{ kv_cache_config: { free_gpu_memory_fraction: 0.8, tokens_per_block: 64 } },
		],
		["guided decoding", { guidedDecodingBackend: "xgrammar" }, { guided_decoding_backend: "xgrammar" }],
		["attention DP", { enableAttentionDp: true }, { enable_attention_dp: true }],
		["a load format", { loadFormat: "dummy" }, { load_format: "dummy" }],
		["no load format for auto", { loadFormat: "auto" }, null],
		["metrics", { publishMetrics: true }, { enable_iter_perf_stats: true }],
		[
			"metrics that somebody has switched off",
			{ publishMetrics: true, extraEngineArgs: { enable_iter_perf_stats: false } },
			{ enable_iter_perf_stats: false },
		],
		["perf metrics for traces", { otlpTracesEndpoint: "http://c:4317" }, { return_perf_metrics: true }],
		["dynamic flags", { dynamicEngineArgs: { stream_interval: 5 } }, { stream_interval: 5 }],
		["an event buffer", { publishKvEvents: true }, { kv_cache_config: { event_buffer_max_size: 100_000 } }],
		[
			"an event buffer instead of 0",
			{ publishKvEvents: true, extraEngineArgs: { kv_cache_config: { event_buffer_max_size: 0 } } },
			{ kv_cache_config: { event_buffer_max_size: 100_000 } },
		],
		[
			"an event buffer of one's own",
			{ publishKvEvents: true, extraEngineArgs: { kv_cache_config: { event_buffer_max_size: 7 } } },
			{ kv_cache_config: { event_buffer_max_size: 7 } },
		],
		[
			"streamed events",
			{ publishKvEvents: true, kvEventsEndpoint: "tcp://127.0.0.1:5557" },
			{
				kv_cache_config: {
					use_kv_cache_manager_v2: true,
					kv_events_config: {
						enable_kv_cache_events: true,
						publisher: "zmq",
						endpoint: "tcp://127.0.0.1:5557",
					},
				},
			},
		],
		[
			"a decode worker",
			{ disaggregationMode: "decode", maxSeqLen: 4096 },
			{ cache_transceiver_config: { backend: "DEFAULT", max_tokens_in_buffer: 4128 } },
		],
		[
			"a prefill worker",
			{
				disaggregationMode: "prefill",
				maxSeqLen: 4095,
				kvBlockSize: 64,
				extraEngineArgs: { cache_transceiver_config: { backend: "UCX" } },
			},
			{
				cache_transceiver_config: { backend: "UCX", max_tokens_in_buffer: 4096 },
				disable_overlap_scheduler: true,
				kv_cache_config: { tokens_per_block: 64 },
			},
		],
	])("has %s", (_, options, config) => expect(served(options).config).toEqual(config));

	it("leaves post-processing workers out, and what AutoDeploy does not take", () => {
		const { argv, warnings } = served({
			tensorParallelSize: 2,
			extraEngineArgs: { num_postprocess_workers: 4, backend: "_autodeploy", scheduler_config: {} },
		});
		expect(argv.slice(-2)).toEqual(["--backend", "_autodeploy"]);
		expect(argv).not.toContain("--tp_size");
		expect(warnings.map((text) => text.split(" ")[0])).toEqual([
			"backend",
			"num_postprocess_workers",
			"tensor_parallel_size",
			"scheduler_config",
		]);
	});
});

describe("variables", () => {
	it.each<[Environment, string | undefined]>([
		[{}, "INFO"],
		[{ DYN_LOG: "warn" }, "WARNING"],
		[{ DYN_LOG: "hyper=warn,debug" }, "DEBUG"],
		[{ DYN_LOG: "hyper=warn" }, "INFO"],
		[{ DYN_LOG: "off" }, "ERROR"],
		[{ DYN_LOG: "trace", TLLM_LOG_LEVEL: "ERROR" }, undefined],
		[{ DYN_LOG: "trace", DYN_SKIP_TRTLLM_LOG_FORMATTING: "1" }, undefined],
		[{ DYN_LOG: "trace", DYN_SKIP_TRTLLM_LOG_FORMATTING: "0" }, "TRACE"],
	])("%j gives the log level %s", (environment, level) =>
		expect(served({ environment }).env["TLLM_LOG_LEVEL"]).toBe(level),
	);

	it("chooses the manager that can stream events, unless somebody has chosen", () => {
		const name = "TLLM_KV_CACHE_MANAGER_V2_BACKEND";
		const kvEventsEndpoint = "tcp://127.0.0.1:5557";
		expect(served().env[name]).toBeUndefined();
		expect(served({ kvEventsEndpoint }).env[name]).toBe("python");
		expect(served({ kvEventsEndpoint, environment: { [name]: "cpp" } }).env[name]).toBeUndefined();
	});
});
