// SPDX-License-Identifier: Apache-2.0
export { createFrontend, type Frontend } from "./create-frontend.js";
export type { FrontendLimits, FrontendOptions, MigrationOptions } from "./options.js";
