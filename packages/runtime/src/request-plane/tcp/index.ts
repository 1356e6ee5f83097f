// SPDX-License-Identifier: Apache-2.0
export type { TcpTls } from "./sockets.js";
export { createTcpPlane, type TcpPlaneOptions } from "./tcp-plane.js";
