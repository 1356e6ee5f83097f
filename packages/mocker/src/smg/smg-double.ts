// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { createRequestContext, DynError } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import {
	type MessageInit,
	SMG_SERVICE,
	type SmgAbortRequest,
	type SmgAbortResponse,
	type SmgEmpty,
	type SmgGenerateRequest,
	type SmgGenerateResponse,
	type SmgHealthCheckResponse,
	type SmgModelInfo,
	type SmgServerInfo,
} from "@dyn/protocols/smg";
import type {
	Server,
	ServerWritableStream,
	sendUnaryData,
	UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { fromSmgRequest } from "./smg-request.js";
import { SmgResponses } from "./smg-responses.js";

/** Largest message of SMG's server. */
const MAX_MESSAGE_BYTES = 32 * 2 ** 20;
const INVALID_ARGUMENT = 3;
const INTERNAL = 13;

export interface SmgDoubleOptions {
	/** Started here, and closed with the double. */
	readonly engine: Engine;
	/** Default 127.0.0.1, any free port. */
	readonly host?: string | undefined;
	readonly port?: number | undefined;
	/** Default "1.3.0". */
	readonly version?: string | undefined;
}

/** A server that stands in for `trtllm-serve --grpc`. */
export interface SmgDouble {
	readonly engine: Engine;
	readonly info: EngineInfo;
	/** `host:port`. */
	readonly address: string;
	close(): Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}

/**
 * Serves an engine as `trtllm.TrtllmService`, with what TensorRT-LLM implements of it; the rest is UNIMPLEMENTED.
 * @throws DynError UNAVAILABLE when the address cannot be listened on
 */
export async function createSmgDouble(options: SmgDoubleOptions): Promise<SmgDouble> {
	const grpc = await import("@grpc/grpc-js");
	const { engine, host = "127.0.0.1", port = 0, version = "1.3.0" } = options;
	const info = await engine.start();
	const server = new grpc.Server({
		"grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
		"grpc.max_send_message_length": MAX_MESSAGE_BYTES,
	});
	server.addService({ ...SMG_SERVICE }, handlers(engine, info, version));
	const bound = await bind(server, `${host}:${port}`, grpc.ServerCredentials.createInsecure()).catch(
		async (error) => {
			await engine.close();
			throw error;
		},
	);
	const close = async () => {
		server.forceShutdown();
		await engine.close();
	};
	return { engine, info, address: `${host}:${bound}`, close, [Symbol.asyncDispose]: close };
}

type Unary<Request, Response> = (
	call: { readonly request: Request },
	reply: sendUnaryData<MessageInit<Response>>,
) => void;
type Call = ServerWritableStream<SmgGenerateRequest, MessageInit<SmgGenerateResponse>>;

function handlers(engine: Engine, info: EngineInfo, version: string): UntypedServiceImplementation {
	const running = new Map<string, AbortController>();
	const healthCheck: Unary<SmgEmpty, SmgHealthCheckResponse> = (_, reply) => {
		const health = engine.health();
		reply(null, { status: health.status === "healthy" ? "OK" : `Error: ${health.status}` });
	};
	const abort: Unary<SmgAbortRequest, SmgAbortResponse> = ({ request: { requestId } }, reply) => {
		const found = running.get(requestId);
		found?.abort();
		reply(null, { success: found !== undefined, message: found ? "" : `Request ${requestId} not found` });
	};
	const getModelInfo: Unary<SmgEmpty, SmgModelInfo> = (_, reply) => {
		const { model: modelId, contextLength: maxSeqLen, vocabSize } = info;
		reply(null, { modelId, maxInputLen: maxSeqLen - 1, maxSeqLen, vocabSize });
	};
	const getServerInfo: Unary<SmgEmpty, SmgServerInfo> = (_, reply) =>
		reply(null, {
			version,
			backend: "tensorrt-llm",
			tensorParallelSize: info.dpSize,
			pipelineParallelSize: 1,
			contextParallelSize: 1,
			worldSize: info.dpSize,
		});
	const generate = async (call: Call): Promise<void> => {
		const { request } = call;
		const aborting = new AbortController();
		call.on("cancelled", () => aborting.abort());
		running.set(request.requestId, aborting);
		try {
			const responses = new SmgResponses(request);
			const context = createRequestContext({ id: request.requestId, signal: aborting.signal });
			for await (const output of engine.generate(fromSmgRequest(request, info), context))
				for (const response of responses.write(output))
					if (!call.cancelled && !call.write(response))
						await once(call, "drain", { signal: aborting.signal }).catch(() => {}); // or aborted
			call.end();
		} catch (error) {
			const { rawMessage, httpStatus } = DynError.from(error);
			const code = httpStatus < 500 ? INVALID_ARGUMENT : INTERNAL;
			call.emit("error", Object.assign(new Error(rawMessage), { code, details: rawMessage }));
		} finally {
			if (running.get(request.requestId) === aborting) running.delete(request.requestId);
		}
	};
	return { generate: (call: Call) => void generate(call), healthCheck, abort, getModelInfo, getServerInfo };
}

function bind(
	server: Server,
	address: string,
	credentials: Parameters<Server["bindAsync"]>[1],
): Promise<number> {
	return new Promise((resolve, reject) => {
		server.bindAsync(address, credentials, (error, port) => {
			if (!error) return resolve(port);
			const message = `cannot listen on ${address} (${error.message}); choose another port`;
			reject(new DynError("UNAVAILABLE", message, { cause: error }));
		});
	});
}
