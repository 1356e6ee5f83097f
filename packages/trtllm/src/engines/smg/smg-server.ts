// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import type { GrpcChannelPool, GrpcMethod } from "@dyn/openengine/grpc";
import type { GenerateRequest } from "@dyn/protocols";
import { type MessageInit, SMG_SERVICE, type SmgGenerateResponse, type SmgMethod } from "@dyn/protocols/smg";
import { poll } from "../client/poll.js";
import type { RemoteCall, RemoteServer } from "../client/remote-engine.js";
import type { ServerEvent } from "../client/server-event.js";
import { toSmgRequest } from "./request-message.js";
import { SmgResponseReader } from "./response-reader.js";

/** TensorRT-LLM's limit for messages of this protocol, both ways. */
export const MAX_MESSAGE_BYTES: number = 32 * 2 ** 20;
export const CONTROL_TIMEOUT_MS = 10_000;

export interface SmgServerOptions {
	readonly loraTaskIds?: ReadonlyMap<string, bigint> | undefined;
	readonly statusIntervalMs?: number | undefined;
}

/** A server of SMG that has said what it is. */
export class SmgServer implements RemoteServer {
	readonly info: EngineInfo;
	/** Resolves after the first question for health. */
	readonly ready: Promise<void>;
	readonly #pool: GrpcChannelPool;
	readonly #loraTaskIds: ReadonlyMap<string, bigint>;
	readonly #stopPolling: () => void;
	#health: EngineHealth = { status: "healthy" };

	constructor(
		pool: GrpcChannelPool,
		info: EngineInfo,
		{ loraTaskIds, statusIntervalMs = 1000 }: SmgServerOptions,
	) {
		this.#pool = pool;
		this.info = info;
		this.#loraTaskIds = loraTaskIds ?? new Map();
		const { first, stop } = poll(statusIntervalMs, () => this.#look());
		this.ready = first;
		this.#stopPolling = stop;
	}

	ask(
		request: GenerateRequest,
		{ requestId, terms, signal, context }: RemoteCall,
	): AsyncIterable<ServerEvent> {
		const { vocabSize } = this.info;
		const message = toSmgRequest(request, { requestId, terms, vocabSize, loraTaskIds: this.#loraTaskIds });
		// Written here and not by the call, whose errors would not say what is wrong.
		const bytes = SMG_SERVICE.generate.requestSerialize(message);
		if (bytes.length > MAX_MESSAGE_BYTES)
			throw new DynError(
				"PAYLOAD_TOO_LARGE",
				`the request has ${bytes.length} bytes and SMG takes ${MAX_MESSAGE_BYTES}; send smaller images`,
			);
		return this.#events(request, bytes, signal, context);
	}

	async *#events(
		{ tokenIds, output }: GenerateRequest,
		bytes: Buffer,
		signal: AbortSignal,
		{ deadlineMs, trace }: RemoteCall["context"],
	): AsyncIterable<ServerEvent> {
		const reader = new SmgResponseReader(tokenIds, output.logprobs !== null, output.promptLogprobs !== null);
		const responses = this.#pool.stream(GENERATE, bytes, {
			signal,
			timeoutMs: deadlineMs === null ? undefined : Math.max(1, deadlineMs - performance.now()),
			metadata: trace ? { ...trace } : undefined,
		});
		for await (const response of responses) yield* reader.read(response);
	}

	abort(requestId: string): void {
		const call = this.#pool.unary(
			clientMethod(SMG_SERVICE.abort),
			{ requestId },
			{ timeoutMs: CONTROL_TIMEOUT_MS },
		);
		call.catch(() => {}); // it may be over already, or the server gone: both are fine
	}

	health(): EngineHealth {
		return this.#health;
	}

	load(own: EngineLoad): EngineLoad {
		return own;
	}

	close(): void {
		this.#stopPolling();
		this.#pool.close();
	}

	async #look(): Promise<void> {
		try {
			const { status } = await this.#pool.unary(
				clientMethod(SMG_SERVICE.healthCheck),
				{},
				{ timeoutMs: CONTROL_TIMEOUT_MS },
			);
			this.#health =
				status === "OK"
					? { status: "healthy" }
					: { status: "restarting", reason: `the engine says: ${status}` };
		} catch (error) {
			this.#health = { status: "restarting", reason: DynError.from(error).rawMessage };
		}
	}
}

/** Generate with a request that is bytes already. */
const GENERATE: GrpcMethod<Buffer, SmgGenerateResponse> = {
	path: SMG_SERVICE.generate.path,
	serialize: (bytes) => bytes,
	deserialize: SMG_SERVICE.generate.responseDeserialize,
};

export function clientMethod<Request, Response>(
	method: SmgMethod<Request, Response>,
): GrpcMethod<MessageInit<Request>, Response> {
	return { path: method.path, serialize: method.requestSerialize, deserialize: method.responseDeserialize };
}
