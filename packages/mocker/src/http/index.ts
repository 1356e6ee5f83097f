// SPDX-License-Identifier: Apache-2.0
export { createHttpDouble, type HttpDouble, type HttpDoubleOptions } from "./http-double.js";
