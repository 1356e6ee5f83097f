// SPDX-License-Identifier: Apache-2.0
export { formatEndpointPath, parseEndpointPath } from "./component/endpoint-path.js";
export { createRuntime, type RuntimeOptions } from "./create-runtime.js";
export type { KeyValueStore, Lease, StoreEvent } from "./discovery/key-value-store.js";
export { MemoryStore } from "./discovery/memory-store.js";
export { type Canary, type CanaryOptions, createCanary } from "./health/canary.js";
export {
	createStatusServer,
	type StatusServer,
	type StatusServerOptions,
} from "./status-server/status-server.js";
export type {
	Endpoint,
	EndpointClient,
	EndpointHandler,
	EndpointPath,
	GenerateOptions,
	Instance,
	ModelChange,
	ModelEntry,
	ModelRegistry,
	Runtime,
	ServedEndpoint,
} from "./types.js";
