// SPDX-License-Identifier: Apache-2.0
import * as codec from "../generated/codec.js";
import type * as m from "../generated/messages.js";
import type { Decoder, Encoder } from "./scalars.js";

/** Where an RPC is found and how its two messages are written and read. */
export interface Rpc<Request, Response> {
	readonly path: string;
	/** Whether it answers with many responses. */
	readonly streams: boolean;
	readonly encodeRequest: Encoder<Request>;
	readonly decodeRequest: Decoder<Request>;
	readonly encodeResponse: Encoder<Response>;
	readonly decodeResponse: Decoder<Response>;
}

function rpc<Request, Response>(
	path: string,
	encodeRequest: Encoder<Request>,
	decodeRequest: Decoder<Request>,
	encodeResponse: Encoder<Response>,
	decodeResponse: Decoder<Response>,
	streams = false,
): Rpc<Request, Response> {
	return {
		path: `/openengine.v1.${path}`,
		streams,
		encodeRequest,
		decodeRequest,
		encodeResponse,
		decodeResponse,
	};
}

/** Request and response of every RPC of the contract. */
export interface RpcTypes {
	readonly generate: [m.GenerateRequest, m.GenerateResponse];
	readonly getServerInfo: [m.GetServerInfoRequest, m.ServerInfo];
	readonly getModelInfo: [m.GetModelInfoRequest, m.ModelInfo];
	readonly getLoad: [m.GetLoadRequest, m.LoadInfo];
	readonly health: [m.HealthRequest, m.HealthResponse];
	readonly abort: [m.AbortRequest, m.AbortResponse];
	readonly loadLora: [m.LoadLoraRequest, m.LoadLoraResponse];
	readonly unloadLora: [m.UnloadLoraRequest, m.UnloadLoraResponse];
	readonly listLoras: [m.ListLorasRequest, m.ListLorasResponse];
	readonly getKvEventSources: [m.GetKvEventSourcesRequest, m.GetKvEventSourcesResponse];
	readonly subscribeKvEvents: [m.SubscribeKvEventsRequest, m.SubscribeKvEventsResponse];
}

export type RpcName = keyof RpcTypes;

/** The eleven RPCs of OpenEngine v0.1.0. */
export const RPCS: { readonly [Name in RpcName]: Rpc<RpcTypes[Name][0], RpcTypes[Name][1]> } = {
	generate: rpc(
		"Inference/Generate",
		codec.encodeGenerateRequest,
		codec.decodeGenerateRequest,
		codec.encodeGenerateResponse,
		codec.decodeGenerateResponse,
		true,
	),
	getServerInfo: rpc(
		"Control/GetServerInfo",
		codec.encodeGetServerInfoRequest,
		codec.decodeGetServerInfoRequest,
		codec.encodeServerInfo,
		codec.decodeServerInfo,
	),
	getModelInfo: rpc(
		"Control/GetModelInfo",
		codec.encodeGetModelInfoRequest,
		codec.decodeGetModelInfoRequest,
		codec.encodeModelInfo,
		codec.decodeModelInfo,
	),
	getLoad: rpc(
		"Control/GetLoad",
		codec.encodeGetLoadRequest,
		codec.decodeGetLoadRequest,
		codec.encodeLoadInfo,
		codec.decodeLoadInfo,
	),
	health: rpc(
		"Control/Health",
		codec.encodeHealthRequest,
		codec.decodeHealthRequest,
		codec.encodeHealthResponse,
		codec.decodeHealthResponse,
	),
	abort: rpc(
		"Control/Abort",
		codec.encodeAbortRequest,
		codec.decodeAbortRequest,
		codec.encodeAbortResponse,
		codec.decodeAbortResponse,
	),
	loadLora: rpc(
		"Control/LoadLora",
		codec.encodeLoadLoraRequest,
		codec.decodeLoadLoraRequest,
		codec.encodeLoadLoraResponse,
		codec.decodeLoadLoraResponse,
	),
	unloadLora: rpc(
		"Control/UnloadLora",
		codec.encodeUnloadLoraRequest,
		codec.decodeUnloadLoraRequest,
		codec.encodeUnloadLoraResponse,
		codec.decodeUnloadLoraResponse,
	),
	listLoras: rpc(
		"Control/ListLoras",
		codec.encodeListLorasRequest,
		codec.decodeListLorasRequest,
		codec.encodeListLorasResponse,
		codec.decodeListLorasResponse,
	),
	getKvEventSources: rpc(
		"Control/GetKvEventSources",
		codec.encodeGetKvEventSourcesRequest,
		codec.decodeGetKvEventSourcesRequest,
		codec.encodeGetKvEventSourcesResponse,
		codec.decodeGetKvEventSourcesResponse,
	),
	subscribeKvEvents: rpc(
		"Control/SubscribeKvEvents",
		codec.encodeSubscribeKvEventsRequest,
		codec.decodeSubscribeKvEventsRequest,
		codec.encodeSubscribeKvEventsResponse,
		codec.decodeSubscribeKvEventsResponse,
		true,
	),
};
