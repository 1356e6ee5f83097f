// SPDX-License-Identifier: Apache-2.0
export { ActiveRequests } from "./active-requests.js";
export type {
	Engine,
	EngineCapabilities,
	EngineHealth,
	EngineInfo,
	EngineLoad,
	LoraAdapter,
	LoraAdapters,
} from "./engine.js";
export {
	checkFeatures,
	REQUEST_FEATURES,
	type RequestFeature,
	requestedFeatures,
} from "./request-features.js";
