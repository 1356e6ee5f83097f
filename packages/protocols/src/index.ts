// SPDX-License-Identifier: Apache-2.0
export { type EmbedOutput, type EmbedRequest, isEmbedRequest } from "./embed-request.js";
export type { EngineOutput, FinishReason, TokenLogprob, TokenLogprobs, Usage } from "./engine-output.js";
export {
	createGenerateRequest,
	type GenerateRequest,
	type GenerateRequestInit,
	type LogitsProcessorRequest,
	type OutputOptions,
	type RoutingHints,
	type SamplingOptions,
	type StopConditions,
} from "./generate-request.js";
export type { GuidedDecoding } from "./guided-decoding.js";
export type { KvEvent, KvEventData, StoredBlock } from "./kv-event.js";
export type { Disaggregation, JsonValue, KvEndpoint, KvSession } from "./kv-session.js";
export type { MediaItem } from "./media-item.js";
export type { CheckedFile, EndpointType, ModelCard, ModelFiles, WorkerType } from "./model-card.js";
