// SPDX-License-Identifier: Apache-2.0
export { type ChatRequest, type ChatTurn, readChatRequest } from "./chat-request.js";
export type { CommonFields } from "./common-fields.js";
export { type CompletionRequest, readCompletionRequest } from "./completion-request.js";
export { type EmbeddingRequest, readEmbeddingRequest } from "./embedding-request.js";
export { parseJsonBody } from "./parse-json.js";
