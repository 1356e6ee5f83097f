// SPDX-License-Identifier: Apache-2.0
export { createHttpPlane, type HttpPlaneOptions } from "./http-plane.js";
