// SPDX-License-Identifier: Apache-2.0
export { createTcpPlane, type TcpPlaneOptions } from "./tcp-plane.js";
