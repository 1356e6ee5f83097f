// SPDX-License-Identifier: Apache-2.0
export { connectNats } from "./connect-nats.js";
export type { NatsLink, NatsMessage } from "./nats-link.js";
export type { NatsAuth, NatsOptions } from "./nats-options.js";
