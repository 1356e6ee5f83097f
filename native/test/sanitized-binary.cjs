// SPDX-License-Identifier: Apache-2.0
// Required before anything else (NODE_OPTIONS): whoever loads the native engine gets the sanitized binary instead.
const { join } = require("node:path");

const sanitized = join(__dirname, "../../packages/trtllm-native/build/Sanitized/dyn_native.node");
const { dlopen } = process;
process.dlopen = (module, path, ...flags) =>
	dlopen(module, path.endsWith("dyn_native.node") ? sanitized : path, ...flags);
