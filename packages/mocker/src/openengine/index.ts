// SPDX-License-Identifier: Apache-2.0
export { createTrtllmDouble, type TrtllmDouble, type TrtllmDoubleOptions } from "./trtllm-double.js";
export { NO_QUIRKS, TRTLLM_QUIRKS, type TrtllmQuirks } from "./trtllm-quirks.js";
