// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput } from "../engine-output.js";
import type { GenerateRequest } from "../generate-request.js";
import { decodeLlmEngineOutput, encodeLlmEngineOutput } from "./llm-engine-output.js";
import { decodePreprocessedRequest, encodePreprocessedRequest } from "./preprocessed-request.js";

/** How `generate` endpoints translate their requests and deltas for other processes: as Dynamo does. */
export const generateCodec = {
	encodeRequest: (request: unknown): unknown => encodePreprocessedRequest(request as GenerateRequest),
	decodeRequest: (data: unknown): unknown => decodePreprocessedRequest(data),
	encodeItem: (item: unknown): unknown => encodeLlmEngineOutput(item as EngineOutput),
	decodeItem: (data: unknown): unknown => decodeLlmEngineOutput(data),
	nullMayBeAbsent: true,
};
