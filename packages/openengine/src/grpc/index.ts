// SPDX-License-Identifier: Apache-2.0

export type { CallMetadata } from "./call-headers.js";
export {
	createGrpcChannelPool,
	type GrpcCallOptions,
	type GrpcChannelPool,
	type GrpcChannelPoolOptions,
	type GrpcMethod,
} from "./channel-pool.js";
export { fromGrpcStatus, GrpcStatus, toGrpcStatus } from "./status.js";
export type { ConnectOptions } from "./wait-for-server.js";
