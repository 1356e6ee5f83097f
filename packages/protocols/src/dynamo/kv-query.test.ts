// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { decodeRouterEvent } from "./index.js";
import { type KvQueryAnswer, kvQueryCodec } from "./kv-query.js";

it("reads what stock routers ask, old and new", () => {
	const base = { worker_id: 2n ** 63n, dp_rank: 1, start_event_id: null, end_event_id: null };
	const everything = { workerId: 2n ** 63n, dpRank: 1, startEventId: null, endEventId: null };
	expect(kvQueryCodec.decodeRequest(base)).toEqual(everything);
	const newer = { ...base, start_event_id: 5, supports_tree_dump_failed: true, kind: "recovery" };
	expect(kvQueryCodec.decodeRequest(newer)).toEqual({ ...everything, startEventId: 5 });
	expect(kvQueryCodec.decodeRequest({ worker_id: 1 })).toMatchObject({ workerId: 1n, dpRank: 0 });
	expect(() => kvQueryCodec.decodeRequest({ worker_id: 1, start_event_id: "5" })).toThrow("start_event_id");
});

it("answers in Dynamo's words", () => {
	const encode = (answer: KvQueryAnswer) =>
		kvQueryCodec.encodeItem(answer) as Record<string, { events: unknown[] }>;
	const event = { workerId: 3n, event: { eventId: 4, dpRank: 0, data: { type: "cleared" as const } } };
	const { Events } = encode({ type: "events", events: [event], lastEventId: 4 });
	expect(Events).toMatchObject({ last_event_id: 4 });
	expect(decodeRouterEvent(Events!.events[0])).toEqual(event);
	expect(encode({ type: "dump", events: [], lastEventId: 0 })).toEqual({
		TreeDump: { events: [], last_event_id: 0 },
	});
	expect(encode({ type: "too_new", startEventId: 9, endEventId: 9, newest: 4 })).toEqual({
		TooNew: { requested_start: 9, requested_end: 9, newest_available: 4 },
	});
	expect(encode({ type: "invalid_range", startEventId: 9, endEventId: 8 })).toEqual({
		InvalidRange: { start_id: 9, end_id: 8 },
	});
	expect(encode({ type: "error", message: "no" })).toEqual({ Error: "no" });
});
