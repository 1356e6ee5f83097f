// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { EndpointType, WorkerType } from "@dyn/protocols";
import { aggregatedHandler } from "./handlers/aggregated-handler.js";
import { decodeHandler } from "./handlers/decode-handler.js";
import type { Handler } from "./handlers/handler.js";
import { prefillHandler } from "./handlers/prefill-handler.js";

/**
 * What a worker does in a deployment. `agg`: everything; `pd`: the same, behind an encode worker; `prefill` and `decode`:
 * one half each; `encode`: turns media into embeddings.
 */
export type DisaggregationMode = "agg" | "pd" | "prefill" | "decode" | "encode";

export const DISAGGREGATION_MODES: readonly DisaggregationMode[] = [
	"agg",
	"pd",
	"prefill",
	"decode",
	"encode",
];

/** How a mode shows in discovery, by Dynamo's names. */
export interface WorkerRole {
	readonly workerType: WorkerType;
	/** Component unless another is given. */
	readonly component: string;
	/** Alternatives of roles that must be served too. */
	readonly needs: readonly (readonly WorkerType[])[];
	/** What clients may ask of it directly. */
	readonly endpointTypes: readonly EndpointType[];
	readonly handler: (engine: Engine) => Handler;
	/** Whether its KV blocks go to or come from other workers. */
	readonly movesKvBlocks: boolean;
}

const forClients: readonly EndpointType[] = ["chat", "completions"];

const ROLES: Readonly<Record<DisaggregationMode, WorkerRole>> = {
	agg: {
		workerType: "aggregated",
		component: "backend",
		needs: [],
		endpointTypes: forClients,
		handler: aggregatedHandler,
		movesKvBlocks: false,
	},
	pd: {
		workerType: "aggregated",
		component: "backend",
		needs: [["encode"]],
		endpointTypes: forClients,
		handler: aggregatedHandler,
		movesKvBlocks: false,
	},
	prefill: {
		workerType: "prefill",
		component: "prefill",
		needs: [["decode"]],
		endpointTypes: [],
		handler: prefillHandler,
		movesKvBlocks: true,
	},
	decode: {
		workerType: "decode",
		component: "backend",
		needs: [["prefill"]],
		endpointTypes: forClients,
		handler: decodeHandler,
		movesKvBlocks: true,
	},
	encode: {
		workerType: "encode",
		component: "encode",
		needs: [["prefill", "decode"], ["aggregated"]],
		endpointTypes: [],
		handler: () => {
			throw new DynError(
				"UNIMPLEMENTED",
				"there is no built-in handler for encode workers; give createTrtllmWorker a handler of your own",
			);
		},
		movesKvBlocks: false,
	},
};

export function roleOf(mode: DisaggregationMode): WorkerRole {
	return ROLES[mode];
}
