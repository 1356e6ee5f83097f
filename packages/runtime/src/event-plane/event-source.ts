// SPDX-License-Identifier: Apache-2.0
import { stringifyJson } from "@dyn/protocols/json";
import { instanceFields } from "../discovery/records.js";
import type { EndpointPath, Instance } from "../types.js";
import { eventSourceKey, scopeFields } from "./subject.js";

/** Says where one rank's KV events come from, and who can tell all that the events before them added up to. */
export interface EventSourceRecord {
	/** The endpoint whose KV cache it is: the scope of the events. */
	readonly path: EndpointPath;
	readonly topic: string;
	/** `EventPublisher.id` of the publisher. */
	readonly publisherId: bigint;
	/** The instance of `path`. */
	readonly workerId: bigint;
	readonly dpRank: number;
	/** An endpoint of its own that answers Dynamo's WorkerKvQueryRequest. */
	readonly recovery: Instance;
}

/** Dynamo's EventSource document, and the key of the record. Its routers listen only to workers that have one. */
export function encodeEventSource(source: EventSourceRecord): {
	readonly key: string;
	readonly value: string;
} {
	const { path, topic, publisherId, workerId, dpRank, recovery } = source;
	const scope = scopeFields(path);
	const value = {
		type: "EventSource",
		scope,
		topic,
		publisher_id: publisherId,
		metadata: {
			kv_state_endpoint: scope["endpoint"],
			worker: { worker_id: workerId, dp_rank: dpRank },
			publisher_id: publisherId,
			recovery_target: instanceFields(recovery),
		},
	};
	return { key: eventSourceKey(path, topic, publisherId), value: stringifyJson(value) };
}
