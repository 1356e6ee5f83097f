// SPDX-License-Identifier: Apache-2.0
export {
	SmgAbortRequest,
	SmgAbortResponse,
	SmgEmpty,
	SmgHealthCheckResponse,
	SmgModelInfo,
	SmgServerInfo,
} from "./control.js";
export {
	SmgContextPhaseParams,
	SmgDisaggregatedParams,
	SmgGenerateRequest,
	SmgGuidedDecodingParams,
	SmgGuideType,
	SmgLoraConfig,
	SmgMultimodalInput,
	SmgOutputConfig,
	SmgSamplingConfig,
	SmgTokenizedInput,
} from "./generate-request.js";
export {
	SmgGenerateChunk,
	SmgGenerateComplete,
	SmgGenerateResponse,
	SmgTokenLogprob,
	SmgTopLogprob,
} from "./generate-response.js";
export type { MessageCodec, MessageInit } from "./message-codec.js";
export { SMG_SERVICE, type SmgMethod, type SmgService } from "./service.js";
