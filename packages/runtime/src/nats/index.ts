// SPDX-License-Identifier: Apache-2.0
export type { TcpTls } from "../request-plane/tcp/sockets.js";
export { connectNats } from "./connect-nats.js";
export { createNatsEventPlane, type NatsEventPlaneOptions } from "./nats-event-plane.js";
export type { NatsLink, NatsMessage } from "./nats-link.js";
export type { NatsAuth, NatsOptions } from "./nats-options.js";
export { createNatsRequestPlane, type NatsRequestPlaneOptions } from "./nats-request-plane.js";
export type { NatsTls } from "./nats-tls.js";
