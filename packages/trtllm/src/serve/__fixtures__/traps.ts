// SPDX-License-Identifier: Apache-2.0
import type { EngineFacts, Finding } from "../checks/finding.js";
import type { ServeOptions } from "../serve-options.js";

/** A configuration with one thing wrong, on top of a sound one. */
export interface Trap extends Pick<Finding, "code" | "severity" | "what" | "fix"> {
	readonly options: Partial<ServeOptions>;
	readonly engine?: EngineFacts;
}

const trap = (
	code: string,
	severity: Finding["severity"],
	options: Partial<ServeOptions>,
	what: string,
	fix: string,
	engine: EngineFacts = {},
): Trap => ({ code, severity, options, what, fix, engine });

const streamed: Partial<ServeOptions> = { kvEventsEndpoint: "tcp://127.0.0.1:5557" };
const kvCache = (kv_cache_config: Record<string, unknown>): Partial<ServeOptions> => ({
	extraEngineArgs: { kv_cache_config },
});
const transceiver = (cache_transceiver_config: Record<string, unknown>): Partial<ServeOptions> => ({
	extraEngineArgs: { cache_transceiver_config },
});

/** Every trap that `checkServeConfiguration` knows, seeded. */
export const TRAPS: readonly Trap[] = [
	trap(
		"transfer-buffer-too-small",
		"error",
		{ disaggregationMode: "decode", ...transceiver({ max_tokens_in_buffer: 4096 }) },
		"max_tokens_in_buffer 4096, max_seq_len 4096",
		"above 4096",
	),
	trap(
		"transfer-buffer-too-small",
		"error",
		{ disaggregationMode: "prefill", maxSeqLen: undefined, protocol: "http" },
		"max_seq_len unset",
		"set --max-seq-len",
	),
	trap(
		"overlap-scheduler-on-prefill",
		"error",
		{ disaggregationMode: "prefill", overrideEngineArgs: { disable_overlap_scheduler: false } },
		"overlap scheduler",
		"disable_overlap_scheduler: true",
	),
	trap(
		"transfer-timeout-missing",
		"warning",
		{ disaggregationMode: "decode" },
		"no time limit",
		"kv_transfer_timeout_ms",
	),
	trap(
		"ucx-variable-without-effect",
		"error",
		{ disaggregationMode: "decode", environment: { TRTLLM_USE_UCX_KVCACHE: "1" } },
		"TRTLLM_USE_UCX_KVCACHE",
		"backend: UCX",
	),
	trap(
		"efa-shared-memory",
		"error",
		{ environment: { FI_PROVIDER: "efa", FI_EFA_USE_DEVICE_RDMA: "1" } },
		"shared memory",
		"FI_EFA_ENABLE_SHM_TRANSFER=0",
	),
	trap(
		"efa-without-device-rdma",
		"error",
		{ environment: { FI_PROVIDER: "efa", FI_EFA_ENABLE_SHM_TRANSFER: "0" } },
		"GPU memory",
		"FI_EFA_USE_DEVICE_RDMA=1",
	),
	trap(
		"nixl-plugin-dir",
		"error",
		{ disaggregationMode: "prefill", environment: { NIXL_PLUGIN_DIR: "/opt/plugins" } },
		"NIXL_PLUGIN_DIR",
		"unset it here",
	),
	trap(
		"nixl-plugin-dir",
		"error",
		{
			disaggregationMode: "decode",
			tensorParallelSize: 8,
			gpusPerNode: 8,
			environment: { NIXL_PLUGIN_DIR: "/opt/plugins" },
		},
		"several nodes",
		"--gpus-per-node",
	),
	trap(
		"smg-without-disaggregation",
		"error",
		{ disaggregationMode: "decode", protocol: "smg" },
		"decode worker",
		"--engine-protocol openengine",
	),
	trap("context-length-missing", "error", { maxSeqLen: undefined }, "context length", "set --max-seq-len"),
	trap(
		"context-length-missing",
		"error",
		{ maxSeqLen: undefined, protocol: "smg" },
		"context length",
		"--max-seq-len",
	),
	trap("grpc-broken-in-release", "error", { protocol: "smg" }, "1.3.0rc22", "--engine-protocol http", {
		version: "1.3.0rc22",
	}),
	trap("openengine-missing", "error", {}, "TensorRT-LLM 1.3.0rc26 has no", "1.3.0rc27", {
		version: "1.3.0rc26",
	}),
	trap("openengine-missing", "error", {}, "has no OpenEngine server", '"openengine" extra', {
		version: "1.4.0",
		openEngine: false,
	}),
	trap("grpc-bindings-missing", "warning", {}, "the openengine protocol", '"tensorrt_llm[openengine]"', {
		grpcBindings: ["smg"],
	}),
	trap("grpc-bindings-missing", "warning", { protocol: "smg" }, "the smg protocol", '"tensorrt_llm[grpc-smg]"', {
		grpcBindings: [],
	}),
	trap(
		"openengine-needs-pytorch",
		"error",
		{ extraEngineArgs: { backend: "_autodeploy" } },
		"not with _autodeploy",
		"leave out backend",
	),
	trap(
		"diffusion-over-grpc",
		"error",
		{ modality: "video_diffusion" },
		"refuses --grpc-protocol",
		"--engine-protocol http",
	),
	trap(
		"encode-over-grpc",
		"error",
		{ disaggregationMode: "encode" },
		"encode workers",
		"--engine-protocol http",
	),
	trap("media-over-openengine", "error", { modality: "multimodal" }, "images, video or audio", "smg for images"),
	trap("plaintext-listener", "warning", { host: "0.0.0.0" }, "listens on 0.0.0.0 in the clear", "127.0.0.1"),
	trap("metrics-need-http", "warning", { publishMetrics: true }, "--publish-metrics", "--engine-protocol http"),
	trap(
		"logits-processors-out-of-reach",
		"error",
		{ logitsProcessors: true },
		"no protocol carries them",
		"--engine embedded",
	),
	trap(
		"beams-with-logits-processors",
		"error",
		{ logitsProcessors: true, maxBeamWidth: 4 },
		"several beams",
		"--max-beam-width 1",
	),
	trap("beams-over-openengine", "warning", { maxBeamWidth: 4 }, "max_beam_width", "--max-beam-width 1"),
	trap("greedy-choices", "advice", {}, "n above 1", "TLLM_ALLOW_N_GREEDY_DECODING=1"),
	trap("guided-decoding-off", "advice", {}, "no backend compiles them", "--guided-decoding-backend xgrammar"),
	trap("kv-event-stream-without-endpoint", "error", { kvEventsEndpoint: "5557" }, "no ZeroMQ address", "tcp://"),
	trap("stream-interval", "advice", {}, "every token", "stream_interval"),
	trap(
		"kv-events-need-block-reuse",
		"error",
		{ protocol: "http", publishKvEvents: true, ...kvCache({ enable_block_reuse: false }) },
		"enable_block_reuse is false",
		"enable_block_reuse: true",
	),
	trap(
		"kv-events-need-block-reuse",
		"error",
		{ ...streamed, ...kvCache({ enable_block_reuse: false }) },
		"no prefix cache",
		"enable_block_reuse: true",
	),
	trap(
		"kv-event-buffer-empty",
		"error",
		{ protocol: "http", publishKvEvents: true, ...kvCache({ event_buffer_max_size: -1 }) },
		"leaves no room",
		"above 0",
	),
	trap("kv-events-out-of-reach", "error", { publishKvEvents: true }, "over HTTP only", "--kv-events-endpoint"),
	trap(
		"kv-event-stream-without-endpoint",
		"error",
		kvCache({ use_kv_cache_manager_v2: true, kv_events_config: { enable_kv_cache_events: true } }),
		"endpoint is no ZeroMQ address",
		"--kv-events-endpoint",
	),
	trap(
		"kv-event-stream-needs-manager-v2",
		"error",
		{ ...streamed, ...kvCache({ use_kv_cache_manager_v2: "auto" }) },
		"manager V2",
		"use_kv_cache_manager_v2: true",
	),
	trap(
		"kv-event-stream-needs-python-manager",
		"error",
		{ ...streamed, environment: { TLLM_KV_CACHE_MANAGER_V2_BACKEND: "cpp" } },
		"Python implementation",
		"TLLM_KV_CACHE_MANAGER_V2_BACKEND=python",
	),
	trap(
		"kv-event-stream-without-pipeline",
		"error",
		{ ...streamed, pipelineParallelSize: 2 },
		"pipeline or context parallelism",
		"--pipeline-parallel-size 1",
	),
	trap(
		"kv-event-stream-without-pipeline",
		"error",
		{ ...streamed, extraEngineArgs: { context_parallel_size: 2 } },
		"pipeline or context parallelism",
		"context_parallel_size: 1",
	),
	trap(
		"tensorrt-backend-removed",
		"error",
		{ extraEngineArgs: { backend: "trt" }, protocol: "http" },
		"whose last version was TensorRT-LLM 1.3.0rc20",
		"--model",
	),
	trap(
		"tensorrt-backend-removed",
		"error",
		{ overrideEngineArgs: { build_config: { max_batch_size: 8 } } },
		"build_config belongs to prebuilt TensorRT engines",
		"--model",
	),
	trap("prebuilt-engine", "error", {}, "prebuilt TensorRT engine", "the checkpoint", {
		modelFiles: ["config.json", "rank0.engine"],
	}),
	trap("gguf-model", "error", {}, "is GGUF, which TensorRT-LLM does not load", "--engine embedded", {
		modelFiles: ["README.md", "model-Q4_K_M.GGUF"],
	}),
	trap(
		"override-conflict",
		"error",
		{ overrideEngineArgs: { max_batch_size: 1 }, dynamicEngineArgs: { max_num_tokens: 2 } },
		"the last word",
		"one of them",
	),
	trap(
		"diffusion-with-role",
		"error",
		{ modality: "image_diffusion", disaggregationMode: "prefill", protocol: "http" },
		"--disaggregation-mode is prefill",
		"leave --disaggregation-mode out",
	),
];
