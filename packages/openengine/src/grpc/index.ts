// SPDX-License-Identifier: Apache-2.0
export {
	type ConnectOptions,
	createGrpcChannelPool,
	type GrpcCallOptions,
	type GrpcChannelPool,
	type GrpcChannelPoolOptions,
	type GrpcMethod,
} from "./channel-pool.js";
export { fromGrpcStatus, GrpcStatus, toGrpcStatus } from "./status.js";
