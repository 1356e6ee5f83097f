// SPDX-License-Identifier: Apache-2.0
import type { RequestFeature } from "@dyn/engine";
import type { GenerateRequest } from "@dyn/protocols";
import type { JsonObject } from "../json-object.js";

/** Where an engine differs from the contract or goes beyond it. Everything is optional. */
export interface OpenEngineDialect {
	/** What it can do though its GetModelInfo does not say so. */
	readonly addFeatures?: readonly RequestFeature[];
	/** What it cannot do, whatever it says. */
	readonly removeFeatures?: readonly RequestFeature[];
	/** Largest `n`, where GetModelInfo does not say or is wrong. */
	readonly maxChoices?: number;
	/** Fewest candidates that log-probabilities can be asked with; surplus ones are dropped here. Default 0. */
	readonly leastTopN?: number;
	/** `extra` of a request, on top of ours (`conversation_id`, `request_type`). */
	extra?(request: GenerateRequest): JsonObject;
}
