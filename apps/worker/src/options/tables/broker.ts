// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

const group = "Broker";

/** Where a broker of events listens, and for whom. Names of variables as in Dynamo. */
export const broker: readonly OptionSpec[] = [
	{
		name: "xsubBind",
		flags: ["xsub-bind"],
		env: ["ZMQ_BROKER_XSUB_BIND"],
		type: "string",
		value: "URL",
		help: "Where publishers connect (default: tcp://ADDRESS:5555 of --tcp-host; * for a port takes any)",
		group,
	},
	{
		name: "xpubBind",
		flags: ["xpub-bind"],
		env: ["ZMQ_BROKER_XPUB_BIND"],
		type: "string",
		value: "URL",
		help: "Where subscribers connect (default: tcp://ADDRESS:5556 of --tcp-host)",
		group,
	},
	{
		name: "namespace",
		flags: ["namespace"],
		env: ["ZMQ_BROKER_NAMESPACE", "DYN_NAMESPACE"],
		type: "string",
		value: "NAME",
		default: "dynamo",
		help: "Namespace whose events it forwards",
		group,
	},
];
