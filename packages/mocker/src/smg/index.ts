// SPDX-License-Identifier: Apache-2.0
export { createSmgDouble, type SmgDouble, type SmgDoubleOptions } from "./smg-double.js";
