// SPDX-License-Identifier: Apache-2.0
export type { ModelFacts } from "../client/model-facts.js";
export { createSmgEngine, type SmgEngineOptions } from "./smg-engine.js";
