// SPDX-License-Identifier: Apache-2.0
import { PlainData } from "./plain-data.js";
import { encodeRouterEvent, type RouterEvent } from "./router-event.js";

/** A router's question to one rank of a worker: what has your KV cache, or what changed since an event (Dynamo's WorkerKvQueryRequest). */
export interface KvQuery {
	readonly workerId: bigint | null;
	readonly dpRank: number;
	/** First event wanted; null asks for everything that is there now. */
	readonly startEventId: number | null;
	readonly endEventId: number | null;
}

/** Dynamo's WorkerKvQueryResponse. `lastEventId` is the newest event that the answer includes; 0 before the first. */
export type KvQueryAnswer =
	| { readonly type: "events"; readonly events: readonly RouterEvent[]; readonly lastEventId: number }
	/** Everything that is there, parents before children, as events numbered from 0. */
	| { readonly type: "dump"; readonly events: readonly RouterEvent[]; readonly lastEventId: number }
	| {
			readonly type: "too_new";
			readonly startEventId: number;
			readonly endEventId: number;
			readonly newest: number;
	  }
	| { readonly type: "invalid_range"; readonly startEventId: number; readonly endEventId: number }
	| { readonly type: "error"; readonly message: string };

/** For the endpoint that answers, as a `PayloadCodec`. Only its server's half: it does not write queries nor read answers. */
export const kvQueryCodec = {
	encodeRequest: (query: unknown): unknown => query,
	decodeRequest: (data: unknown): KvQuery => decodeKvQuery(data),
	encodeItem: (item: unknown): unknown => encodeKvQueryAnswer(item as KvQueryAnswer),
	decodeItem: (data: unknown): unknown => data,
	bareItems: true,
};

/** @throws DynError INVALID_ARGUMENT naming the field that has a wrong type */
function decodeKvQuery(data: unknown): KvQuery {
	const query = new PlainData(data, "kv_query");
	return {
		workerId: query.integer("worker_id"),
		dpRank: query.unsigned("dp_rank", 0xffff_ffff) ?? 0,
		startEventId: query.unsigned("start_event_id", Number.MAX_SAFE_INTEGER),
		endEventId: query.unsigned("end_event_id", Number.MAX_SAFE_INTEGER),
	};
}

/** The answer as Dynamo's tagged enum. */
function encodeKvQueryAnswer(answer: KvQueryAnswer): Record<string, unknown> {
	switch (answer.type) {
		case "events":
			return { Events: encodeEvents(answer) };
		case "dump":
			return { TreeDump: encodeEvents(answer) };
		case "too_new":
			return {
				TooNew: {
					requested_start: answer.startEventId,
					requested_end: answer.endEventId,
					newest_available: answer.newest,
				},
			};
		case "invalid_range":
			return { InvalidRange: { start_id: answer.startEventId, end_id: answer.endEventId } };
		case "error":
			return { Error: answer.message };
	}
}

function encodeEvents(answer: {
	readonly events: readonly RouterEvent[];
	readonly lastEventId: number;
}): Record<string, unknown> {
	return { events: answer.events.map(encodeRouterEvent), last_event_id: answer.lastEventId };
}
