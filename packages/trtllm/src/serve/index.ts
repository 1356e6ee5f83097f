// SPDX-License-Identifier: Apache-2.0
// @dyn/trtllm/serve: launching, supervising and checking a real trtllm-serve.
export { parseDynamicArgs } from "../engine-args/dynamic-args.js";
export { assertServeConfiguration, checkServeConfiguration } from "./check-serve-configuration.js";
export type { EngineFacts, Finding } from "./checks/finding.js";
export type { EngineProbe } from "./engine-health.js";
export type { EngineExit } from "./engine-process.js";
export { type MonitorOptions, monitorOptions } from "./monitor-options.js";
export { type InstalledEngine, type ProbeEngineOptions, probeEngine } from "./probe-engine.js";
export { type ServeCommand, serveArguments } from "./serve-arguments.js";
export type { EngineProtocol, Environment, Modality, ServeOptions } from "./serve-options.js";
export {
	createTrtllmServe,
	type ServeEvent,
	type TrtllmServe,
	type TrtllmServeOptions,
} from "./trtllm-serve.js";
