// SPDX-License-Identifier: Apache-2.0
export { createFrontend, type Frontend } from "./create-frontend.js";
export { createApiKeyCheck } from "./http/api-keys.js";
export type { FrontendLimits, FrontendOptions, MigrationOptions } from "./options.js";
