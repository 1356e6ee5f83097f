// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad, RequestFeature } from "@dyn/engine";
import type { GrpcChannelPool, GrpcMethod } from "@dyn/openengine/grpc";
import type { GenerateRequest } from "@dyn/protocols";
import { type MessageInit, SMG_SERVICE, type SmgGenerateResponse, type SmgMethod } from "@dyn/protocols/smg";
import { engineInfoOf, featuresOf, type ModelFacts } from "../client/model-facts.js";
import { poll } from "../client/poll.js";
import { type RemoteCall, RemoteEngine, type RemoteServer } from "../client/remote-engine.js";
import type { ServerEvent } from "../client/server-event.js";
import { toSmgRequest } from "./request-message.js";
import { SmgResponseReader } from "./response-reader.js";

/** TensorRT-LLM's limit for messages of this protocol, both ways. */
const MAX_MESSAGE_BYTES = 32 * 2 ** 20;
const CONTROL_TIMEOUT_MS = 10_000;

const ALWAYS: readonly RequestFeature[] = [
	"logit_bias",
	"length_penalty",
	"visible_stop_token_ids",
	"prompt_logprobs",
];
const CONFIGURABLE: readonly RequestFeature[] = [
	"beam_search",
	"guided_json_schema",
	"guided_json_object",
	"guided_regex",
	"guided_grammar",
	"guided_structural_tag",
	"guided_choice",
	"image",
	"lora",
];

export interface SmgEngineOptions extends ModelFacts {
	/** `host:port` of `trtllm-serve --grpc`. */
	readonly endpoint: string;
	/** The model's name. Default: the server's word. */
	readonly model?: string | undefined;
	/**
	 * What the server was started for and does not say: `beam_search` (max_beam_width), `guided_*` (guided_decoding_backend),
	 * `image` (a model that sees). Default: none; requests for them are refused.
	 */
	readonly features?: readonly RequestFeature[] | undefined;
	/** Task ids of the LoRA adapters that the server has, by the names that requests use. */
	readonly loraTaskIds?: ReadonlyMap<string, bigint> | undefined;
	/** HTTP/2 connections. Default 8. */
	readonly connections?: number | undefined;
	/** How long `start` waits for the server. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** Pause between questions for health. Default 1 s. */
	readonly statusIntervalMs?: number | undefined;
}

/**
 * TensorRT-LLM behind its default gRPC protocol (SMG, `trtllm.TrtllmService`): prefill and decode together, no KV events,
 * no statistics (`load` counts this client's own requests), and no text, salt, priority or rank.
 * @throws DynError INVALID_ARGUMENT for a feature that the protocol does not have
 */
export function createSmgEngine(options: SmgEngineOptions): Engine {
	const loras = options.loraTaskIds?.size ? (["lora"] as const) : [];
	const features = featuresOf("SMG", ALWAYS, CONFIGURABLE, [...(options.features ?? []), ...loras]);
	return new RemoteEngine((signal) => connect(options, features, signal));
}

async function connect(
	options: SmgEngineOptions,
	features: readonly RequestFeature[],
	signal: AbortSignal,
): Promise<RemoteServer> {
	const { createGrpcChannelPool } = await import("@dyn/openengine/grpc");
	const { endpoint, connections } = options;
	const pool = await createGrpcChannelPool({
		endpoint,
		maxMessageBytes: MAX_MESSAGE_BYTES,
		...(connections === undefined ? {} : { connections }),
	});
	try {
		await pool.connect({ startupDeadlineMs: options.startupDeadlineMs, signal });
		const ask = <Response>(method: SmgMethod<Readonly<Record<never, never>>, Response>) =>
			pool.unary(clientMethod(method), {}, { signal, timeoutMs: CONTROL_TIMEOUT_MS });
		const [model, server] = await Promise.all([
			ask(SMG_SERVICE.getModelInfo),
			ask(SMG_SERVICE.getServerInfo),
		]);
		// Both lengths the same: the server knows neither.
		const contextLength = model.maxSeqLen === model.maxInputLen ? undefined : model.maxSeqLen;
		const info = engineInfoOf(
			{
				model: options.model ?? model.modelId,
				description: `TensorRT-LLM ${server.version || "of an unknown version"} over SMG at ${pool.endpoint}`,
				features,
				logprobs: true,
			},
			{
				...options,
				contextLength: options.contextLength ?? contextLength,
				vocabSize: options.vocabSize ?? model.vocabSize,
				maxNumSeqs: options.maxNumSeqs ?? (model.maxBatchSize || undefined),
			},
		);
		const connection = new SmgServer(pool, info, options);
		await connection.ready;
		return connection;
	} catch (error) {
		pool.close();
		if (DynError.is(error, "UNIMPLEMENTED"))
			throw new DynError(
				"UNIMPLEMENTED",
				`the server at ${endpoint} does not speak SMG; start it with --grpc --grpc-protocol smg`,
				{ cause: error },
			);
		throw error;
	}
}

class SmgServer implements RemoteServer {
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
		{ loraTaskIds, statusIntervalMs = 1000 }: SmgEngineOptions,
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

function clientMethod<Request, Response>(
	method: SmgMethod<Request, Response>,
): GrpcMethod<MessageInit<Request>, Response> {
	return { path: method.path, serialize: method.requestSerialize, deserialize: method.responseDeserialize };
}
