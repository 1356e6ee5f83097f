// SPDX-License-Identifier: Apache-2.0
export type { TcpTls } from "../tcp/sockets.js";
export { createHttpPlane, type HttpPlaneOptions } from "./http-plane.js";
