// SPDX-License-Identifier: Apache-2.0
export type { MetadataOptions } from "./card/card-files.js";
export { createTrtllmWorker, type TrtllmWorkerOptions } from "./create-trtllm-worker.js";
export { type EngineArgs, loadEngineArgs } from "./engine-args/merge-engine-args.js";
export { aggregatedHandler } from "./handlers/aggregated-handler.js";
export { defineHandler, type Handler, type HandlerMiddleware } from "./handlers/handler.js";
export { healthCheckPayload } from "./health/health-check-payload.js";
export type { TrtllmWorker } from "./trtllm-worker.js";
