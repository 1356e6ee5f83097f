// SPDX-License-Identifier: Apache-2.0
export { type LoraControlOptions, loraControl } from "./adapters/lora-control.js";
export { serveLoraEndpoints } from "./adapters/lora-endpoints.js";
export type { ManagedAdapters } from "./adapters/lora-operations.js";
export type { WorkerAdapter, WorkerAdapters } from "./adapters/worker-adapters.js";
export type { MetadataOptions } from "./card/card-files.js";
export { createTrtllmWorker } from "./create-trtllm-worker.js";
export { DISAGGREGATION_MODES, type DisaggregationMode } from "./disaggregation-mode.js";
export { type EngineArgs, loadEngineArgs } from "./engine-args/merge-engine-args.js";
export type { StallLimits } from "./engines/trtllm/progress.js";
export type { TrtllmEngineOptions } from "./engines/trtllm/trtllm-options.js";
export { aggregatedHandler } from "./handlers/aggregated-handler.js";
export { decodeHandler } from "./handlers/decode-handler.js";
export { defineHandler, type Handler, type HandlerMiddleware } from "./handlers/handler.js";
export { limitRequests } from "./handlers/limit-requests.js";
export { prefillHandler } from "./handlers/prefill-handler.js";
export { healthCheckPayload } from "./health/health-check-payload.js";
export { type NamedKvEventSource, namedEndpoints } from "./kv-events/trtllm/named-endpoints.js";
export {
	type KvEventEndpoint,
	type KvEventSourceOptions,
	openKvEventSource,
} from "./kv-events/trtllm/open-kv-event-source.js";
export { forwardEngineMetrics } from "./metrics/forward-engine-metrics.js";
export type { TrtllmWorker } from "./trtllm-worker.js";
export type { TrtllmWorkerOptions } from "./worker-options.js";
