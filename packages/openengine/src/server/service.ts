// SPDX-License-Identifier: Apache-2.0
import type { MessageInit } from "../message-init.js";
import type { RpcName, RpcTypes } from "../wire/methods.js";

/** What a handler knows of its call beside the request. */
export interface ServerCall {
	/** All values of a metadata key; empty when it is absent. */
	metadata(key: string): readonly string[];
	/** Aborts when the caller is gone. */
	readonly signal: AbortSignal;
}

type Request<Name extends RpcName> = RpcTypes[Name][0];
type Response<Name extends RpcName> = MessageInit<RpcTypes[Name][1]>;
type UnaryHandler<Name extends RpcName> = (
	request: Request<Name>,
	call: ServerCall,
) => Promise<Response<Name>>;
type StreamHandler<Name extends RpcName> = (
	request: Request<Name>,
	call: ServerCall,
) => AsyncIterable<Response<Name>>;

/**
 * The eleven RPCs as plain functions: spread one service into another to replace single handlers.
 * What a handler throws becomes the call's gRPC status (`toGrpcStatus`). A Generate that was accepted does not throw: its
 * last response is an `error` event.
 */
export interface OpenEngineService {
	readonly generate: StreamHandler<"generate">;
	readonly getServerInfo: UnaryHandler<"getServerInfo">;
	readonly getModelInfo: UnaryHandler<"getModelInfo">;
	readonly getLoad: UnaryHandler<"getLoad">;
	readonly health: UnaryHandler<"health">;
	readonly abort: UnaryHandler<"abort">;
	readonly loadLora: UnaryHandler<"loadLora">;
	readonly unloadLora: UnaryHandler<"unloadLora">;
	readonly listLoras: UnaryHandler<"listLoras">;
	readonly getKvEventSources: UnaryHandler<"getKvEventSources">;
	readonly subscribeKvEvents: StreamHandler<"subscribeKvEvents">;
}
