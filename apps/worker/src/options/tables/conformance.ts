// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

const group = "Conformance";

/** Which server to judge, and as what. */
export const conformance: readonly OptionSpec[] = [
	{
		name: "grpcEndpoint",
		flags: ["grpc-endpoint"],
		env: ["DYN_SIDECAR_GRPC_ENDPOINT"],
		type: "string",
		value: "HOST:PORT",
		help: "The OpenEngine server to judge",
		group,
	},
	{
		name: "model",
		flags: ["model"],
		type: "string",
		value: "NAME",
		help: "Model to ask for (default: the first that the server names)",
		group,
	},
	{
		name: "role",
		flags: ["role"],
		type: "string",
		choices: ["aggregated", "prefill", "decode"],
		value: "ROLE",
		help: "What the server does of a request (default: what it says)",
		group,
	},
	{ name: "json", flags: ["json"], type: "boolean", help: "The report for programs", group },
];
