// SPDX-License-Identifier: Apache-2.0
import { isEmbedRequest } from "../embed-request.js";
import type { EngineOutput } from "../engine-output.js";
import type { GenerateRequest } from "../generate-request.js";
import {
	decodeEmbedOutput,
	decodeEmbedRequest,
	encodeEmbedOutput,
	encodeEmbedRequest,
	isEmbedData,
	isEmbedOutput,
} from "./embed-codec.js";
import { decodeLlmEngineOutput, encodeLlmEngineOutput } from "./llm-engine-output.js";
import { decodePreprocessedRequest, encodePreprocessedRequest } from "./preprocessed-request.js";

/**
 * How `generate` endpoints translate their requests and deltas for other processes: as Dynamo does. Such an endpoint also
 * takes requests for embeddings, told apart by what they hold.
 */
export const generateCodec = {
	encodeRequest: (request: unknown): unknown =>
		isEmbedRequest(request)
			? encodeEmbedRequest(request)
			: encodePreprocessedRequest(request as GenerateRequest),
	decodeRequest: (data: unknown): unknown =>
		isEmbedData(data) ? decodeEmbedRequest(data) : decodePreprocessedRequest(data),
	encodeItem: (item: unknown): unknown =>
		isEmbedOutput(item) ? encodeEmbedOutput(item) : encodeLlmEngineOutput(item as EngineOutput),
	decodeItem: (data: unknown): unknown =>
		isEmbedOutput(data) ? decodeEmbedOutput(data) : decodeLlmEngineOutput(data),
	nullMayBeAbsent: true,
};
