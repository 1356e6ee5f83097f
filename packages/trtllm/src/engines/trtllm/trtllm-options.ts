// SPDX-License-Identifier: Apache-2.0
import type { Environment, ServeOptions } from "../../serve/serve-options.js";
import type { StallLimits } from "./progress.js";

/** How TensorRT-LLM is started, or where it runs already. */
export interface TrtllmEngineOptions {
	/** `host:port` of an engine that runs already, whatever it speaks, and that somebody else looks after. Default: one is started. */
	readonly grpcEndpoint?: string | undefined;
	/** What to start, in Dynamo's words; model and role are the worker's. `port` 0 or absent: any that is free. */
	readonly serve?:
		| (Partial<Omit<ServeOptions, "model" | "disaggregationMode" | "environment">> & {
				readonly port?: number;
		  })
		| undefined;
	/** Who chooses the rank of a conversation's requests: "engine" keeps one on a rank by itself, whatever a router says. */
	readonly conversationAffinity?: "engine" | "dynamo" | undefined;
	/** Python that has TensorRT-LLM. Default: that of the trtllm-serve on the path. */
	readonly python?: string | undefined;
	/** What the engine inherits. Default: nothing; a program gives it `process.env`. */
	readonly environment?: Environment | undefined;
	/** Time that it may take to load, ms. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** Silence after which an engine with work to do counts as stuck, and is started again. */
	readonly stall?: StallLimits | undefined;
	/** Wait before the n-th restart in a row, ms. Default: a second, doubled up to a minute, with jitter. */
	readonly restartDelayMs?: ((restarts: number) => number) | undefined;
}
