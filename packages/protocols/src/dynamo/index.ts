// SPDX-License-Identifier: Apache-2.0
export { decodeDynamoError, encodeDynamoError } from "./dynamo-error.js";
export { generateCodec } from "./generate-codec.js";
export { type KvQuery, type KvQueryAnswer, kvQueryCodec } from "./kv-query.js";
export { decodeKvSession, encodeKvSession } from "./kv-session.js";
export { decodeLlmEngineOutput, encodeLlmEngineOutput } from "./llm-engine-output.js";
export { decodeModelCard, encodeModelCard, slugOf } from "./model-deployment-card.js";
export { PlainData } from "./plain-data.js";
export { decodePreprocessedRequest, encodePreprocessedRequest } from "./preprocessed-request.js";
export { decodeRouterEvent, encodeRouterEvent, type RouterEvent } from "./router-event.js";
