// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

/** Where a worker serves. */
export const naming: readonly OptionSpec[] = [
	{
		name: "namespace",
		flags: ["namespace"],
		env: ["DYN_NAMESPACE"],
		type: "string",
		value: "NAME",
		default: "dynamo",
		help: "Namespace of the endpoint",
		group: "Endpoint",
	},
	{
		name: "component",
		flags: ["component-name"],
		env: ["DYN_COMPONENT"],
		type: "string",
		value: "NAME",
		default: "backend",
		help: "Component of the endpoint",
		group: "Endpoint",
	},
	{
		name: "endpoint",
		flags: ["endpoint"],
		env: ["DYN_ENDPOINT"],
		type: "string",
		value: "NAME",
		default: "generate",
		help: "Endpoint name, or a whole dyn://namespace.component.endpoint",
		group: "Endpoint",
	},
	{
		name: "canaryWait",
		flags: ["canary-wait-time"],
		env: ["DYN_CANARY_WAIT_TIME"],
		type: "number",
		range: [0.1, 86_400],
		value: "SECONDS",
		help: "Silence after which a canary request checks the engine (default: no canary)",
		group: "Endpoint",
	},
];

/** What a worker tells of itself. */
export const status: readonly OptionSpec[] = [
	{
		name: "systemPort",
		flags: ["system-port"],
		env: ["DYN_SYSTEM_PORT"],
		type: "integer",
		range: [-1, 65_535],
		value: "PORT",
		default: -1,
		help: "Port of /health, /live and /metrics of the worker (-1: none)",
		group: "Endpoint",
	},
];

/** What its operator may do while it runs. */
export const control: readonly OptionSpec[] = [
	{
		name: "enableLora",
		flags: ["enable-lora"],
		env: ["DYN_LORA_ENABLED"],
		type: "boolean",
		help: "Serve /v1/loras on --system-port: adapters are loaded and unloaded while the model is served",
		group: "Endpoint",
	},
];
