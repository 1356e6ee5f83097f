// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

/** How many requests a worker lets to its engine. */
export const requestLimit: readonly OptionSpec[] = [
	{
		name: "engineRequestLimit",
		flags: ["engine-request-limit"],
		env: ["DYN_ENGINE_REQUEST_LIMIT"],
		type: "integer",
		range: [1, 1_000_000_000],
		value: "N",
		help: "Most requests at the engine; further ones wait here (default: no limit)",
		group: "Engine",
	},
	{
		name: "requestQueueLimit",
		flags: ["request-queue-limit"],
		env: ["DYN_DYNAMO_REQUEST_QUEUE_LIMIT"],
		type: "integer",
		range: [0, 1_000_000_000],
		value: "N",
		default: 16,
		help: "Most requests that wait for it; further ones are refused",
		group: "Engine",
	},
];
