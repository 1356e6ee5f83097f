// SPDX-License-Identifier: Apache-2.0
export { createMockerEngine, type MockerEngine } from "./engine/mocker-engine.js";
export { MockerFaults } from "./engine/mocker-faults.js";
export type { MockerEngineOptions } from "./engine/mocker-options.js";
export { DYNAMO_TIMING, type StepTiming, type StepWork } from "./engine/timing.js";
