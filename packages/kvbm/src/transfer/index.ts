// SPDX-License-Identifier: Apache-2.0
export type { KvOffer, KvOfferOptions, KvTransferAgent } from "./kv-transfer-agent.js";
export { releaseKvSession } from "./release-kv-session.js";
export { createTcpKvTransfer, type TcpKvTransferOptions } from "./tcp-kv-transfer.js";
