// SPDX-License-Identifier: Apache-2.0
import type {
	GenerateRequest,
	GenerateResponse,
	ServerInfo,
	SubscribeKvEventsRequest,
	SubscribeKvEventsResponse,
} from "../generated/messages.js";
import {
	createGrpcChannelPool,
	type GrpcCallOptions,
	type GrpcChannelPool,
	type GrpcChannelPoolOptions,
	type GrpcMethod,
} from "../grpc/channel-pool.js";
import type { ConnectOptions } from "../grpc/wait-for-server.js";
import type { MessageInit } from "../message-init.js";
import { type RequestMetadata, toMetadata } from "../request-metadata.js";
import { checkRevision } from "../revision.js";
import { RPCS, type Rpc, type RpcName, type RpcTypes } from "../wire/methods.js";

/** Time for the answer of a unary RPC. */
const CONTROL_TIMEOUT_MS = 30_000;

export interface OpenEngineClientOptions extends GrpcChannelPoolOptions {
	/** The server's `schema_release` must be this one. */
	readonly schemaRelease?: string | undefined;
}

export interface OpenEngineCallOptions extends RequestMetadata {
	readonly signal?: AbortSignal | undefined;
	/** ms from now. Default 30 s for unary RPCs, none for streams. */
	readonly timeoutMs?: number | undefined;
	/** Further metadata; wins over the fields above. */
	readonly metadata?: GrpcCallOptions["metadata"];
}

type StreamName = "generate" | "subscribeKvEvents";

type UnaryCalls = {
	readonly [Name in Exclude<RpcName, StreamName>]: (
		request?: MessageInit<RpcTypes[Name][0]>,
		options?: OpenEngineCallOptions,
	) => Promise<RpcTypes[Name][1]>;
};

/** The eleven RPCs of OpenEngine, typed. Failures are DynErrors by `fromGrpcStatus`. */
export interface OpenEngineClient extends UnaryCalls {
	readonly endpoint: string;
	/**
	 * Waits for the server and judges its schema.
	 * @throws DynError UNAVAILABLE when there is none in time; UNIMPLEMENTED for a schema that this client must not use
	 */
	connect(options?: ConnectOptions): Promise<ServerInfo>;
	/** The call begins at once; leaving the loop cancels it. */
	generate(
		request: MessageInit<GenerateRequest>,
		options?: OpenEngineCallOptions,
	): AsyncIterableIterator<GenerateResponse>;
	subscribeKvEvents(
		request?: MessageInit<SubscribeKvEventsRequest>,
		options?: OpenEngineCallOptions,
	): AsyncIterableIterator<SubscribeKvEventsResponse>;
	/** Cancels what is running. Idempotent. */
	close(): void;
}

/** A client of `endpoint`; nothing is sent before `connect` or a call. */
export async function createOpenEngineClient(options: OpenEngineClientOptions): Promise<OpenEngineClient> {
	const [pool, { fromBytes, toBytes }] = await Promise.all([
		createGrpcChannelPool(options),
		import("../wire/bytes.js"),
	]);
	const methodOf = <Request, Response>(
		rpc: Rpc<Request, Response>,
	): GrpcMethod<MessageInit<Request>, Response> => ({
		path: rpc.path,
		serialize: (request) => toBytes(rpc.encodeRequest, request),
		deserialize: (bytes) => fromBytes(rpc.decodeResponse, bytes),
	});
	const unary = <Name extends RpcName>(name: Name) =>
		unaryCall(pool, methodOf<RpcTypes[Name][0], RpcTypes[Name][1]>(RPCS[name]));
	const stream = <Name extends StreamName>(name: Name) =>
		streamCall(pool, methodOf<RpcTypes[Name][0], RpcTypes[Name][1]>(RPCS[name]));
	const getServerInfo = unary("getServerInfo");
	return {
		endpoint: pool.endpoint,
		async connect(connectOptions) {
			await pool.connect(connectOptions);
			const info = await getServerInfo({}, { signal: connectOptions?.signal });
			checkRevision(info, options.schemaRelease);
			return info;
		},
		getServerInfo,
		getModelInfo: unary("getModelInfo"),
		getLoad: unary("getLoad"),
		health: unary("health"),
		abort: unary("abort"),
		loadLora: unary("loadLora"),
		unloadLora: unary("unloadLora"),
		listLoras: unary("listLoras"),
		getKvEventSources: unary("getKvEventSources"),
		generate: stream("generate"),
		subscribeKvEvents: stream("subscribeKvEvents"),
		close: () => pool.close(),
	};
}

function unaryCall<Request, Response>(
	pool: GrpcChannelPool,
	method: GrpcMethod<MessageInit<Request>, Response>,
) {
	return async (request: MessageInit<Request> = {}, options: OpenEngineCallOptions = {}): Promise<Response> =>
		pool.unary(method, request, {
			signal: options.signal,
			timeoutMs: options.timeoutMs ?? CONTROL_TIMEOUT_MS,
			metadata: { ...toMetadata(options), ...options.metadata },
		});
}

function streamCall<Request, Response>(
	pool: GrpcChannelPool,
	method: GrpcMethod<MessageInit<Request>, Response>,
) {
	return (
		request: MessageInit<Request> = {},
		options: OpenEngineCallOptions = {},
	): AsyncIterableIterator<Response> =>
		pool.stream(method, request, {
			signal: options.signal,
			timeoutMs: options.timeoutMs,
			metadata: { ...toMetadata(options), ...options.metadata },
		});
}
