// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";

/** What prefill and decode workers of every engine have. */
const disaggregationMode: OptionSpec = {
	name: "disaggregationMode",
	flags: ["disaggregation-mode", "disagg-mode"],
	env: ["DYN_TRTLLM_DISAGGREGATION_MODE"],
	type: "string",
	value: "MODE",
	choices: ["agg", "pd", "prefill", "decode", "encode"],
	default: "agg",
	help: "What this worker does in a deployment",
	group: "Disaggregation",
};
export const disaggregation: readonly OptionSpec[] = [
	disaggregationMode,
	{
		name: "disaggregationStrategy",
		flags: ["disaggregation-strategy"],
		env: ["DYN_TRTLLM_DISAGGREGATION_STRATEGY"],
		type: "string",
		value: "ORDER",
		choices: ["prefill_first", "decode_first"],
		help: "Has no effect: the frontend sends a prompt to a prefill worker first",
		group: "Disaggregation",
	},
	{
		name: "prefillCanary",
		flags: ["prefill-canary"],
		env: ["DYN_TRTLLM_PREFILL_CANARY"],
		type: "string",
		value: "ENDPOINT",
		help: "dyn:// endpoint of the prefill workers that the canary of a decode worker goes through",
		group: "Disaggregation",
	},
];

/** How the embedded engine hands KV blocks over. */
export const kvTransfer: readonly OptionSpec[] = [
	{
		name: "kvTransferHost",
		flags: ["kv-transfer-host"],
		env: ["DYN_KV_TRANSFER_HOST"],
		type: "string",
		value: "HOST",
		default: "127.0.0.1",
		help: "Address at which a prefill worker lets decode workers fetch KV blocks",
		group: "Disaggregation",
	},
	{
		name: "kvTransferPort",
		flags: ["kv-transfer-port"],
		env: ["DYN_KV_TRANSFER_PORT"],
		type: "integer",
		range: [0, 65_535],
		value: "PORT",
		default: 0,
		help: "Its port (0: any that is free)",
		group: "Disaggregation",
	},
];
