// SPDX-License-Identifier: Apache-2.0
export type { JsonSchema, NamedSchema } from "./json-schema.js";
export { WIRE_SCHEMAS } from "./wire-schemas.js";
