// SPDX-License-Identifier: Apache-2.0
import {
	SmgAbortRequest,
	SmgAbortResponse,
	SmgEmpty,
	SmgHealthCheckResponse,
	SmgModelInfo,
	SmgServerInfo,
} from "./control.js";
import { SmgGenerateRequest } from "./generate-request.js";
import { SmgGenerateResponse } from "./generate-response.js";
import type { MessageCodec, MessageInit } from "./message-codec.js";

/** An RPC in the form in which grpc-js takes the methods of a service, of a server as of a client. */
export interface SmgMethod<Request, Response> {
	readonly path: string;
	readonly requestStream: false;
	readonly responseStream: boolean;
	readonly requestSerialize: (request: MessageInit<Request>) => Buffer;
	readonly requestDeserialize: (bytes: Buffer) => Request;
	readonly responseSerialize: (response: MessageInit<Response>) => Buffer;
	readonly responseDeserialize: (bytes: Buffer) => Response;
}

function method<Request, Response>(
	name: string,
	request: MessageCodec<Request>,
	response: MessageCodec<Response>,
	responseStream = false,
): SmgMethod<Request, Response> {
	return {
		path: `/trtllm.TrtllmService/${name}`,
		requestStream: false,
		responseStream,
		requestSerialize: (message) => request.encode(message),
		requestDeserialize: (bytes) => request.decode(bytes),
		responseSerialize: (message) => response.encode(message),
		responseDeserialize: (bytes) => response.decode(bytes),
	};
}

/** The RPCs of `trtllm.TrtllmService` that TensorRT-LLM implements; it answers Embed, GetTokenizer and SubscribeKvEvents with UNIMPLEMENTED. */
export interface SmgService {
	readonly generate: SmgMethod<SmgGenerateRequest, SmgGenerateResponse>;
	readonly healthCheck: SmgMethod<SmgEmpty, SmgHealthCheckResponse>;
	readonly abort: SmgMethod<SmgAbortRequest, SmgAbortResponse>;
	readonly getModelInfo: SmgMethod<SmgEmpty, SmgModelInfo>;
	readonly getServerInfo: SmgMethod<SmgEmpty, SmgServerInfo>;
}

export const SMG_SERVICE: SmgService = {
	generate: method("Generate", SmgGenerateRequest, SmgGenerateResponse, true),
	healthCheck: method("HealthCheck", SmgEmpty, SmgHealthCheckResponse),
	abort: method("Abort", SmgAbortRequest, SmgAbortResponse),
	getModelInfo: method("GetModelInfo", SmgEmpty, SmgModelInfo),
	getServerInfo: method("GetServerInfo", SmgEmpty, SmgServerInfo),
};
