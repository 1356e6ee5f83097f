// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";
import { disaggregation } from "./disaggregation.js";

/**
 * Options of the TensorRT-LLM backend, with the flags, variables and defaults of Dynamo's `dynamo.trtllm`, and how
 * trtllm-serve is started. Where the embedded engine has the option too, both have the same key.
 */
type Details = Partial<Omit<OptionSpec, "group" | "help" | "type">>;

const camelCase = (flag: string) => flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

/** A table of one group. Unless said otherwise the key is the flag's name and the variable DYN_TRTLLM_ and the flag's name. */
const group =
	(name: string) =>
	(flag: string, type: OptionSpec["type"], help: string, details: Details = {}): OptionSpec => ({
		name: camelCase(flag),
		env: [`DYN_TRTLLM_${flag.toUpperCase().replaceAll("-", "_")}`],
		type,
		help,
		group: name,
		...details,
		flags: [flag, ...(details.flags ?? [])],
	});

const MANY = 1_000_000_000;
const count: Details = { value: "N", range: [1, MANY] };
const gone = (flag: string, advice: string): OptionSpec => ({
	name: camelCase(flag),
	flags: [flag],
	type: "string",
	value: "VALUE",
	help: "",
	group: "TensorRT-LLM",
	gone: advice,
});

const engine = group("TensorRT-LLM");
const launch = group("trtllm-serve");
const diffusion = group("TensorRT-LLM, images and video");

export const engineKind: OptionSpec = {
	name: "engine",
	flags: ["engine"],
	env: ["DYN_ENGINE"],
	type: "string",
	value: "ENGINE",
	choices: ["embedded", "trtllm"],
	default: "embedded",
	help: "The engine of this package, or TensorRT-LLM",
	group: "Engine",
};

/** What a worker can have. */
export const workerEngine: OptionSpec = {
	...engineKind,
	choices: ["embedded", "trtllm", "double"],
	help: "The engine of this package, TensorRT-LLM, or a stand-in for it that needs no GPU and knows no language",
};

export const trtllm: readonly OptionSpec[] = [
	engine("model", "string", "Folder of a checkpoint, or its id on the hub", {
		flags: ["model-path", "m"],
		value: "MODEL",
		default: "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
	}),
	engine("served-model-name", "string", "Name in requests (default: the model's)", { value: "NAME" }),
	engine("tensor-parallel-size", "integer", "GPUs that share each layer", { ...count, default: 1 }),
	engine("pipeline-parallel-size", "integer", "Groups of layers on different GPUs", { ...count, default: 1 }),
	engine("expert-parallel-size", "integer", "Groups of experts on different GPUs", count),
	engine("enable-attention-dp", "boolean", "Data-parallel attention, as many ranks as tensor-parallel GPUs"),
	engine("conversation-affinity", "boolean", "The engine keeps the turns of a conversation on one rank", {
		env: ["DYN_ENGINE_CONV_AFFINITY"],
	}),
	engine(
		"conversation-affinity-dp-rank-source",
		"string",
		"Who chooses the rank of a conversation's first turn",
		{
			env: ["DYN_ENGINE_CONV_AFFINITY_DP_RANK_SOURCE"],
			value: "WHO",
			choices: ["engine", "dynamo"],
			default: "engine",
		},
	),
	engine("kv-block-size", "integer", "Tokens per KV block", { value: "N", range: [1, 1024], default: 32 }),
	engine("gpus-per-node", "integer", "GPUs of each machine (default: as many as there are)", count),
	engine("max-batch-size", "integer", "Most sequences that run at once (default: the engine's, 2048)", count),
	engine("max-num-tokens", "integer", "Most tokens of one step (default: the engine's, 8192)", count),
	engine("max-seq-len", "integer", "Most tokens of prompt and answer; needed over gRPC", count),
	engine("max-beam-width", "integer", "Most beams of one request", { ...count, default: 1 }),
	engine("free-gpu-memory-fraction", "number", "Share of the free GPU memory for the KV cache", {
		name: "kvMemoryFraction",
		flags: ["kv-cache-free-gpu-mem-fraction"],
		value: "F",
		range: [0.001, 1],
		default: 0.9,
	}),
	engine("extra-engine-args", "string", "YAML file of engine arguments, merged over the flags", {
		value: "FILE",
	}),
	engine(
		"override-engine-args",
		"string",
		"JSON object of engine arguments, merged last; or single ones as --trtllm.NAME.NAME VALUE",
		{ value: "JSON" },
	),
	engine("publish-kv-events", "boolean", "Tell routers which KV blocks the engine has"),
	engine("publish-metrics", "boolean", "Publish the engine's iteration statistics"),
	engine("publish-events-and-metrics", "boolean", "Old: --publish-kv-events and --publish-metrics"),
	engine("load-format", "string", "How weights are loaded", { value: "FORMAT", default: "auto" }),
	engine("model-loader-extra-config", "string", "JSON object for the loader of --load-format", {
		value: "JSON",
	}),
	...disaggregation,
	engine("enable-multimodal", "boolean", "Same as --modality multimodal"),
	engine("modality", "string", "What goes in or comes out beside text", {
		value: "KIND",
		choices: ["text", "multimodal", "video_diffusion", "image_diffusion"],
		default: "text",
	}),
	engine("encode-endpoint", "string", "dyn:// endpoint of encode workers", { value: "ENDPOINT" }),
	engine("allowed-local-media-path", "string", "Folder whose media requests may name (default: none)", {
		value: "DIR",
	}),
	engine("max-file-size-mb", "integer", "Largest image, embedding, video or audio file", {
		...count,
		value: "MB",
		default: 50,
	}),
	engine("frontend-decoding", "boolean", "The frontend decodes media"),
	engine("guided-decoding-backend", "string", "What compiles schemas and grammars (default: none does)", {
		value: "NAME",
		choices: ["xgrammar", "llguidance"],
	}),
	engine(
		"enable-test-logits-processor",
		"boolean",
		"Answer every request with the hello-world logits processor",
		{
			name: "testLogitsProcessor",
			env: ["DYN_ENABLE_TEST_LOGITS_PROCESSOR", "DYNAMO_ENABLE_TEST_LOGITS_PROCESSOR"],
		},
	),
	gone(
		"engine-dir",
		"prebuilt engines went with the C++ executor API, after TensorRT-LLM 1.3.0rc20; pass the checkpoint with --model",
	),

	launch("grpc-endpoint", "string", "host:port of an engine that runs already; none is started then", {
		flags: ["trtllm-endpoint"],
		env: ["DYN_SIDECAR_GRPC_ENDPOINT", "TRTLLM_GRPC_ENDPOINT"],
		value: "ADDRESS",
	}),
	launch("engine-protocol", "string", "How the engine is spoken to: two over gRPC, or HTTP", {
		value: "PROTOCOL",
		choices: ["openengine", "smg", "http"],
		default: "openengine",
	}),
	launch("engine-host", "string", "Address that the engine listens on", {
		value: "HOST",
		default: "127.0.0.1",
	}),
	launch("engine-port", "integer", "Port that the engine listens on", {
		value: "PORT",
		range: [1, 65_535],
		default: 50_051,
	}),
	launch("engine-startup-deadline", "number", "Time that the engine may take to load", {
		value: "SECONDS",
		range: [1, 86_400],
		default: 1800,
	}),
	launch(
		"engine-metrics-url",
		"string",
		"Where the engine shows its own series (trtllm_...), to be added to ours",
		{
			value: "URL",
		},
	),
	launch("kv-events-endpoint", "string", "Address at which the engine streams its KV events (ZeroMQ)", {
		value: "ADDRESS",
	}),
	launch(
		"trtllm-python",
		"string",
		"Python that has TensorRT-LLM (default: that of trtllm-serve on the path)",
		{
			env: ["DYN_TRTLLM_PYTHON"],
			value: "FILE",
		},
	),

	diffusion("quant-algo", "string", "Quantisation of weights while loading", {
		value: "NAME",
		choices: ["FP8", "FP8_BLOCK_SCALES", "NVFP4", "W4A16_AWQ", "W4A8_AWQ", "W8A8_SQ_PER_CHANNEL"],
	}),
	diffusion("quant-dynamic", "boolean", "Quantise activations as they come", { default: true }),
	diffusion("enable-teacache", "boolean", "Reuse steps that change little"),
	diffusion("teacache-use-ret-steps", "boolean", "Keep the first and last steps out of it", {
		default: true,
	}),
	diffusion("teacache-thresh", "number", "How little is little", {
		value: "F",
		range: [0, 1000],
		default: 0.2,
	}),
	diffusion("torch-dtype", "string", "Precision of computation", {
		value: "TYPE",
		choices: ["bfloat16", "float16", "float32"],
		default: "bfloat16",
	}),
	diffusion("revision", "string", "Revision of the model on the hub", { value: "NAME" }),
	diffusion("disable-torch-compile", "boolean", "Run without torch.compile"),
	diffusion("enable-fullgraph", "boolean", "One graph in torch.compile"),
	diffusion("enable-cuda-graph", "boolean", "CUDA graphs instead of torch.compile"),
	diffusion("attn-backend", "string", "Attention kernels", {
		value: "NAME",
		choices: ["VANILLA", "TRTLLM"],
		default: "VANILLA",
	}),
	diffusion("dit-ulysses-size", "integer", "GPUs that share heads", { ...count, default: 1 }),
	diffusion("dit-ring-size", "integer", "GPUs that share the sequence", { ...count, default: 1 }),
	diffusion("dit-cfg-size", "integer", "GPUs that share guidance", { ...count, default: 1 }),
	diffusion("enable-layerwise-nvtx-marker", "boolean", "Markers per layer for a profiler"),
	diffusion("skip-warmup", "boolean", "Do not generate once before serving"),
	diffusion("default-height", "integer", "Height where a request has none", {
		...count,
		value: "PX",
		default: 480,
	}),
	diffusion("default-width", "integer", "Width where a request has none", {
		...count,
		value: "PX",
		default: 832,
	}),
	diffusion("default-num-inference-steps", "integer", "Steps where a request has none", {
		...count,
		default: 50,
	}),
	diffusion("default-guidance-scale", "number", "Guidance where a request has none", {
		value: "F",
		range: [0, 1000],
		default: 5,
	}),
	diffusion("default-num-frames", "integer", "Frames where a request has none", { ...count, default: 81 }),
	diffusion("default-num-images-per-prompt", "integer", "Images where a request has no n", {
		value: "N",
		range: [1, 10],
		default: 1,
	}),
];
