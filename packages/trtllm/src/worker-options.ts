// SPDX-License-Identifier: Apache-2.0
import type { Clock, Logger, Metrics, Tracer } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { TcpKvTransferOptions } from "@dyn/kvbm/transfer";
import type { LogitsProcessorFactory } from "@dyn/logits";
import type { ModelStore } from "@dyn/models/store";
import type { EndpointPath, Runtime } from "@dyn/runtime";
import type { MetadataOptions } from "./card/card-files.js";
import type { DisaggregationMode } from "./disaggregation-mode.js";
import type { EngineArgs } from "./engine-args/merge-engine-args.js";
import type { TrtllmEngineOptions } from "./engines/trtllm/trtllm-options.js";
import type { Handler, HandlerMiddleware } from "./handlers/handler.js";

export interface TrtllmWorkerOptions {
	/** Folder, GGUF file, id of a packaged model or org/name. Default: smollm2-135m-instruct. */
	readonly model?: string | undefined;
	/** "embedded" (default), "trtllm", or an engine of your own; the worker closes it, also when creating the worker fails. */
	readonly engine?: "embedded" | "trtllm" | Engine | undefined;
	/** For engine "trtllm": how it is started, or where it runs. */
	readonly trtllm?: TrtllmEngineOptions | undefined;
	/** Where model names are looked up, pulled if need be. Default: the user's store. */
	readonly modelStore?: ModelStore | undefined;
	/** The `model` of client requests. Default: the model's id. */
	readonly servedModelName?: string | undefined;
	/** Folder or GGUF file whose tokenizer and template to use instead of the model's. */
	readonly tokenizerPath?: string | undefined;
	readonly chatTemplatePath?: string | undefined;
	/** Lets frontends on other machines serve the model: its card names tokenizer and template. Default: it does not. */
	readonly metadata?: MetadataOptions | undefined;
	/** Default: a fresh runtime in this process, closed with the worker. */
	readonly runtime?: Runtime | undefined;
	/** Role in the deployment. Default "agg". */
	readonly disaggregationMode?: DisaggregationMode | undefined;
	/** Where a prefill worker with the embedded engine lets decode workers fetch KV blocks. Default: 127.0.0.1, any free port. */
	readonly kvTransfer?: Pick<TcpKvTransferOptions, "host" | "port" | "advertisedHost"> | undefined;
	/** Default "dynamo", by role ("backend", "prefill", "encode"), "generate". */
	readonly namespace?: string | undefined;
	readonly component?: string | undefined;
	readonly endpoint?: string | undefined;
	/** Arguments by TensorRT-LLM's names, such as { max_batch_size: 8, kv_cache_config: { free_gpu_memory_fraction: 0.2 } }. */
	readonly engineArgs?: EngineArgs | undefined;
	/** Merged over engineArgs: what a YAML file says. */
	readonly extraEngineArgs?: EngineArgs | undefined;
	/** Merged last. */
	readonly overrideEngineArgs?: EngineArgs | undefined;
	/** LoRA adapters by name, each the folder that PEFT saved. They are served as models of these names. Default: none. */
	readonly loras?: Readonly<Record<string, string>> | undefined;
	/** Logits processors that requests may name. */
	readonly logitsProcessors?: Readonly<Record<string, LogitsProcessorFactory>> | undefined;
	/** Replaces the built-in handler of the role; gets the started engine. */
	readonly handler?: ((engine: Engine) => Handler) | undefined;
	/** Around the handler, outermost first. */
	readonly middleware?: readonly HandlerMiddleware[] | undefined;
	/** Silence after which a canary asks the handler whether it works, ms. Default: no canary. */
	readonly canaryWaitMs?: number | undefined;
	/**
	 * Prefill workers that the canary of a decode worker goes through, so that it tries the handing over too. Default: the
	 * canary stays in this worker.
	 */
	readonly prefillCanary?: EndpointPath | undefined;
	/** Whether KV-aware routers hear what the engine has in its KV cache. Default false. */
	readonly publishKvEvents?: boolean | undefined;
	/** Whether `metrics` gets how full the KV cache of each rank is, by Dynamo's names. Default false. */
	readonly publishMetrics?: boolean | undefined;
	/** A native engine binary to load instead of the package's own. */
	readonly nativePath?: string | undefined;
	readonly clock?: Clock | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
	/** Gets a span of each generation. Default: none. */
	readonly tracer?: Tracer | undefined;
	/** Aborting gives up the creation, a download included. */
	readonly signal?: AbortSignal | undefined;
}
