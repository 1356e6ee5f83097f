// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";
import { discovery } from "./discovery.js";
import { nats } from "./nats.js";
import { planes } from "./planes.js";

/** How processes of one deployment find and reach each other. */
export const deployment: readonly OptionSpec[] = [...discovery, ...planes, ...nats];

export const graceSeconds: OptionSpec = {
	name: "graceSeconds",
	flags: ["grace-period"],
	env: ["DYN_GRACEFUL_SHUTDOWN_GRACE_PERIOD_SECS"],
	type: "number",
	range: [0, 3600],
	value: "SECONDS",
	default: 5,
	help: "Time after SIGTERM in which requests of those who have not heard of it are still taken",
	group: "Deployment",
};
