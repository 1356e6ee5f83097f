// SPDX-License-Identifier: Apache-2.0
export type { ModelFacts } from "../client/model-facts.js";
export type { HttpLora } from "./completion-request.js";
export type { HttpCallOptions } from "./http-connection.js";
export { createTrtllmHttpEngine, type TrtllmHttpEngineOptions } from "./http-engine.js";
export type { IterationStats } from "./iteration-stats.js";
export type {
	EmbeddingsAnswer,
	EmbeddingsRequest,
	ImageAnswer,
	ImageRequest,
	MediaReference,
	VideoJob,
	VideoRequest,
} from "./media-messages.js";
export { TrtllmHttpClient } from "./trtllm-http-client.js";
