// SPDX-License-Identifier: Apache-2.0
export { formatEndpointPath, parseEndpointPath } from "./component/endpoint-path.js";
export { createRuntime, type RuntimeOptions } from "./create-runtime.js";
export type { KeyValueStore, Lease, StoreEvent } from "./discovery/key-value-store.js";
export { MemoryStore } from "./discovery/memory-store.js";
export { BoundedEventQueue } from "./event-plane/bounded-event-queue.js";
export type {
	EventPlane,
	EventPlaneContext,
	EventPlaneFactory,
	EventPublisher,
	EventScope,
	EventSubscription,
	PublishOptions,
	ReceivedEvent,
	SubscribeOptions,
} from "./event-plane/event-plane.js";
export type { EventSourceRecord } from "./event-plane/event-source.js";
export { type Canary, type CanaryOptions, createCanary } from "./health/canary.js";
export type { Reachability, RequestPlane, ServedTarget, Traffic } from "./request-plane/request-plane.js";
export type { Control, ControlAnswer, ControlRequest } from "./status-server/control.js";
export {
	createStatusServer,
	type StatusServer,
	type StatusServerOptions,
} from "./status-server/status-server.js";
export type {
	Endpoint,
	EndpointClient,
	EndpointHandler,
	EndpointOptions,
	EndpointPath,
	GenerateOptions,
	Instance,
	ModelChange,
	ModelEntry,
	ModelRegistry,
	PayloadCodec,
	Runtime,
	ServedEndpoint,
	TransportAddress,
} from "./types.js";
