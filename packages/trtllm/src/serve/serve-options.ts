// SPDX-License-Identifier: Apache-2.0
import type { DisaggregationMode } from "../disaggregation-mode.js";
import type { EngineArgs } from "../engine-args/merge-engine-args.js";

/**
 * How the engine is spoken to. One process of trtllm-serve speaks one of them: `openengine` and `smg` are gRPC, `http` is
 * the OpenAI server with the engine's own routes.
 */
export type EngineProtocol = "openengine" | "smg" | "http";

export type Modality = "text" | "multimodal" | "video_diffusion" | "image_diffusion";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a `trtllm-serve` is asked to be: Dynamo's flags of its TensorRT-LLM backend, as values. */
export interface ServeOptions {
	/** Folder of a checkpoint or id on the hub. */
	readonly model: string;
	/** Program and its first arguments, as `probeEngine` finds them. Default ["trtllm-serve"]. */
	readonly command?: readonly string[] | undefined;
	/** Default "openengine". */
	readonly protocol?: EngineProtocol | undefined;
	/** Default "127.0.0.1". */
	readonly host?: string | undefined;
	readonly port: number;
	/** Default "agg". */
	readonly disaggregationMode?: DisaggregationMode | undefined;
	/** Default "text". */
	readonly modality?: Modality | undefined;
	readonly tensorParallelSize?: number | undefined;
	readonly pipelineParallelSize?: number | undefined;
	readonly expertParallelSize?: number | undefined;
	readonly enableAttentionDp?: boolean | undefined;
	readonly gpusPerNode?: number | undefined;
	/** Tokens per KV block. Default: the engine's. */
	readonly kvBlockSize?: number | undefined;
	readonly maxBatchSize?: number | undefined;
	readonly maxNumTokens?: number | undefined;
	/** Most tokens of prompt and answer. Over gRPC the engine reports its context length only when this is set. */
	readonly maxSeqLen?: number | undefined;
	readonly maxBeamWidth?: number | undefined;
	/** Above 0, at most 1. */
	readonly freeGpuMemoryFraction?: number | undefined;
	/** "auto" (default) leaves it to the engine. */
	readonly loadFormat?: string | undefined;
	readonly guidedDecodingBackend?: "xgrammar" | "llguidance" | undefined;
	readonly publishKvEvents?: boolean | undefined;
	/** Address that the engine's own KV event publisher binds, such as "tcp://127.0.0.1:5557"; rank n takes port + n. */
	readonly kvEventsEndpoint?: string | undefined;
	readonly publishMetrics?: boolean | undefined;
	/** Where the engine sends its spans (OTLP). */
	readonly otlpTracesEndpoint?: string | undefined;
	/** Whether requests shall run logits processors of this process. */
	readonly logitsProcessors?: boolean | undefined;
	/** What a YAML file says, merged over all of the above. */
	readonly extraEngineArgs?: EngineArgs | undefined;
	/** A JSON object, merged last. */
	readonly overrideEngineArgs?: EngineArgs | undefined;
	/** `--trtllm.a.b v` flags, merged last; not together with an override. */
	readonly dynamicEngineArgs?: EngineArgs | undefined;
	/** Environment that the engine will inherit. */
	readonly environment?: Environment | undefined;
}

export const isGrpc = ({ protocol = "openengine" }: Pick<ServeOptions, "protocol">): boolean =>
	protocol !== "http";

/** Image and video models: another server inside trtllm-serve, with options of its own. */
export const isDiffusion = ({ modality = "text" }: Pick<ServeOptions, "modality">): boolean =>
	modality.endsWith("_diffusion");

/** Prefill and decode workers: those that hand KV blocks to each other. */
export const isDisaggregated = ({
	disaggregationMode = "agg",
}: Pick<ServeOptions, "disaggregationMode">): boolean =>
	disaggregationMode === "prefill" || disaggregationMode === "decode";

/** Whether it is a language model with a KV cache; image and video models and encoders of media take fewer arguments. */
export const generatesText = (options: Pick<ServeOptions, "modality" | "disaggregationMode">): boolean =>
	!isDiffusion(options) && options.disaggregationMode !== "encode";
