// SPDX-License-Identifier: Apache-2.0
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
	ServeOptions,
} from "./types.js";
