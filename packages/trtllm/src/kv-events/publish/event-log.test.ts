// SPDX-License-Identifier: Apache-2.0
import type { KvEventData } from "@dyn/protocols";
import type { KvQueryAnswer } from "@dyn/protocols/dynamo";
import { expect, it } from "vitest";
import { EventLog } from "./event-log.js";
import { StoredBlocks } from "./stored-blocks.js";

const WORKER = 7n;
const block = (hash: bigint) => ({ blockHash: hash, tokensHash: hash + 1000n });
const stored = (parentHash: bigint | null, ...hashes: bigint[]): KvEventData => ({
	type: "stored",
	parentHash,
	blocks: hashes.map(block),
});
const removed = (...blockHashes: bigint[]): KvEventData => ({ type: "removed", blockHashes });
const all = { workerId: WORKER, dpRank: 0, startEventId: null, endEventId: null };

/** Hashes of a dump by event, each behind its parent. */
function chains(answer: KvQueryAnswer): (bigint | null)[][] {
	if (answer.type !== "dump") throw new Error(answer.type);
	return answer.events.map(({ event: { data } }) => {
		if (data.type !== "stored") throw new Error(data.type);
		return [data.parentHash, ...data.blocks.map(({ blockHash }) => blockHash)];
	});
}

it("numbers from 1 what routers need to hear, and nothing else", () => {
	const log = new EventLog(WORKER, 0);
	expect(log.append(stored(null, 1n, 2n))?.event.eventId).toBe(1);
	expect(log.append(stored(null, 1n))?.event.eventId).toBe(2);
	expect(log.append(removed(1n))).toBeNull();
	expect(log.append(stored(5n, 5n))).toBeNull();
	expect(log.append(stored(null, 6n, 7n, 6n))).toBeNull();
	expect(log.append(stored(null))).toBeNull();
	expect(log.append(removed(2n, 1n))?.event).toEqual({ eventId: 3, dpRank: 0, data: removed(2n, 1n) });
	expect(log.append(removed(99n))?.event.eventId).toBe(4);
	expect(log.append({ type: "cleared" })?.event.eventId).toBe(5);
});

it("dumps parents before children, one chain an event, and no block that cannot be found", () => {
	const log = new EventLog(WORKER, 0);
	expect(log.answer(all)).toEqual({ type: "dump", events: [], lastEventId: 0 });
	log.append(stored(null, 1n, 2n, 3n));
	log.append(stored(2n, 20n, 21n));
	log.append(stored(null, 8n));
	log.append(stored(404n, 9n));
	// Stored again after its child: the order of storing is not the order of the chain.
	log.append(removed(8n));
	log.append(stored(8n, 80n));
	log.append(stored(null, 8n));
	const answer = log.answer(all);
	expect(chains(answer)).toEqual([
		[null, 1n, 2n],
		[2n, 3n],
		[2n, 20n, 21n],
		[null, 8n, 80n],
	]);
	expect(answer).toMatchObject({
		lastEventId: 7,
		events: [{ event: { eventId: 0 } }, { event: { eventId: 1 } }, {}, {}],
	});
	log.append({ type: "cleared" });
	expect(log.answer(all)).toEqual({ type: "dump", events: [], lastEventId: 8 });
});

it("dumps a chain of any length without a deep stack", () => {
	const blocks = new StoredBlocks();
	const hashes = Array.from({ length: 50_000 }, (_, i) => BigInt(i + 1));
	blocks.apply(stored(null, ...hashes));
	const dumped = [...blocks.dump()].flatMap((data) => (data.type === "stored" ? data.blocks : []));
	expect(dumped.map(({ blockHash }) => blockHash)).toEqual(hashes);
});

it("answers with recent events while it has them, with everything when not", () => {
	const log = new EventLog(WORKER, 0);
	for (let i = 1n; i <= 1500n; i++) log.append(stored(null, i));
	const ask = (startEventId: number, endEventId: number | null = null) =>
		log.answer({ ...all, startEventId, endEventId });
	expect(ask(1500)).toMatchObject({
		type: "events",
		lastEventId: 1500,
		events: [{ event: { eventId: 1500 } }],
	});
	const oldest = ask(477, 480);
	expect(oldest).toMatchObject({ type: "events", lastEventId: 1500 });
	expect(oldest.type === "events" && oldest.events.map(({ event }) => event.eventId)).toEqual(
		Array.from({ length: 1024 }, (_, i) => 477 + i),
	);
	expect(ask(476)).toMatchObject({ type: "dump", lastEventId: 1500 });
	expect(ask(0)).toMatchObject({ type: "dump" });
	expect(ask(1501)).toEqual({ type: "too_new", startEventId: 1501, endEventId: 1500, newest: 1500 });
	expect(ask(9, 8)).toEqual({ type: "invalid_range", startEventId: 9, endEventId: 8 });
	expect(log.answer({ ...all, dpRank: 1 })).toMatchObject({ type: "error" });
	expect(log.answer({ ...all, workerId: 8n })).toMatchObject({ type: "error" });
});
