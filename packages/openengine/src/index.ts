// SPDX-License-Identifier: Apache-2.0
export {
	createOpenEngineClient,
	type OpenEngineCallOptions,
	type OpenEngineClient,
	type OpenEngineClientOptions,
} from "./client/openengine-client.js";
export type { OpenEngineDialect } from "./engine/dialect.js";
export { createOpenEngineEngine, type OpenEngineEngineOptions } from "./engine/openengine-engine.js";
export * as messages from "./generated/messages.js";
export type { JsonObject } from "./json-object.js";
export type { MessageInit } from "./message-init.js";
export { fromMetadata, type RequestMetadata, toMetadata } from "./request-metadata.js";
export { checkRevision, MINIMUM_CLIENT_REVISION, SCHEMA_RELEASE, SCHEMA_REVISION } from "./revision.js";
export { engineService } from "./server/engine-service.js";
export type { EngineServiceOptions } from "./server/engine-service-options.js";
export type { EngineServerRole } from "./server/generate-request.js";
export {
	createOpenEngineServer,
	type OpenEngineServer,
	type OpenEngineServerOptions,
} from "./server/openengine-server.js";
export type { OpenEngineService, ServerCall } from "./server/service.js";
export { fromSessionMessage, toSessionMessage } from "./session-message.js";
export type { RpcName, RpcTypes } from "./wire/methods.js";
