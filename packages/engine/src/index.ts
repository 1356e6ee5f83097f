// SPDX-License-Identifier: Apache-2.0
export type { Engine, EngineCapabilities, EngineHealth, EngineInfo, EngineLoad } from "./engine.js";
