// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, createRequestContext, silentLogger } from "@dyn/common";
import type { EngineLoad } from "@dyn/engine";
import type { KvEvent, KvEventData } from "@dyn/protocols";
import { type KvQueryAnswer, kvQueryCodec } from "@dyn/protocols/dynamo";
import { createRuntime, MemoryStore, type Runtime } from "@dyn/runtime";
import { expect, it, vi } from "vitest";
import { createKvEventPublisher } from "./kv-event-publisher.js";

const PATH = { namespace: "dynamo", component: "backend", endpoint: "generate" };
const stored = (hash: bigint): KvEventData => ({
	type: "stored",
	parentHash: null,
	blocks: [{ blockHash: hash, tokensHash: hash }],
});

async function publishing({ dpSize = 1, answersQueries = true } = {}) {
	const store = new MemoryStore();
	const runtime = await createRuntime({ discovery: store });
	const served = await runtime.endpoint(PATH).serve(async function* () {});
	const events: AsyncQueue<KvEvent> = new AsyncQueue();
	const subscription = await runtime.events.subscribe(PATH, "kv-events");
	const loads = await runtime.events.subscribe(PATH, "kv_metrics");
	const load = { dpRank: 0, activeKvBlocks: 3, totalKvBlocks: 10 } as EngineLoad;
	const publisher = await createKvEventPublisher({
		runtime,
		instance: served.instance,
		dpSize,
		events,
		stop: () => events.end(),
		load: () => [load],
		answersQueries,
		logger: silentLogger,
	});
	return { store, runtime, served, events, subscription, loads, publisher };
}

/** Records that say where KV events come from. */
async function sources(store: MemoryStore): Promise<Record<string, unknown>[]> {
	const found: Record<string, unknown>[] = [];
	const stop = new AbortController();
	for await (const event of store.watch("v1/event_sources/", stop.signal)) {
		if (event.type === "synced") break;
		if (event.type === "put") found.push(JSON.parse(event.value));
	}
	stop.abort();
	return found;
}

async function ask(runtime: Runtime, publisherId: number, query: object): Promise<KvQueryAnswer> {
	const endpoint = `worker_kv_query_source_${publisherId.toString(16)}`;
	const client = runtime.endpoint({ ...PATH, endpoint }).client();
	for await (const item of client.generate(query, createRequestContext())) return item as KvQueryAnswer;
	throw new Error("no answer");
}

it("publishes each rank's events under its own count, and answers who missed them", async () => {
	const { store, runtime, served, events, subscription, publisher } = await publishing({ dpSize: 2 });
	const records = await sources(store);
	expect(records).toHaveLength(2);
	expect(records[1]).toMatchObject({
		type: "EventSource",
		scope: { kind: "endpoint", endpoint: { namespace: "dynamo", component: "backend", name: "generate" } },
		topic: "kv-events",
		metadata: { worker: { worker_id: Number(served.instance.id), dp_rank: 1 } },
	});
	for (const [eventId, dpRank] of [
		[0, 0],
		[0, 1],
		[1, 1],
		[0, 5],
	] as const)
		events.push({ eventId, dpRank, data: stored(BigInt(eventId + 10 * dpRank + 1)) });
	const seen: unknown[] = [];
	for await (const { payload } of subscription) {
		for (const { event } of payload as { event: { event_id: number; dp_rank: number } }[])
			seen.push([event.dp_rank, event.event_id]);
		if (seen.length === 3) break;
	}
	expect(seen.sort()).toEqual([
		[0, 1],
		[1, 1],
		[1, 2],
	]);
	const query = { workerId: served.instance.id, dpRank: 1, startEventId: null, endEventId: null };
	const answer = await ask(runtime, records[1]!["publisher_id"] as number, query);
	expect(answer).toMatchObject({ type: "dump", lastEventId: 2, events: [{}, {}] });
	expect(kvQueryCodec.encodeItem(answer)).toMatchObject({
		TreeDump: { last_event_id: 2, events: [{ worker_id: served.instance.id, event: { event_id: 0 } }, {}] },
	});
	await publisher.close();
	expect(await sources(store)).toEqual([]);
	await runtime.close();
});

it("leaves discovery and comes back without forgetting, and does not answer when it shall not", async () => {
	const { store, runtime, events, publisher } = await publishing();
	events.push({ eventId: 0, dpRank: 0, data: stored(1n) });
	await publisher.withdraw();
	expect(await sources(store)).toEqual([]);
	await publisher.announce();
	const [record] = await sources(store);
	const query = { workerId: null, dpRank: 0, startEventId: null, endEventId: null };
	const answer = await ask(runtime, record!["publisher_id"] as number, query);
	expect(answer).toMatchObject({ type: "dump", lastEventId: 1 });
	await publisher.close();
	await runtime.close();

	const silent = await publishing({ answersQueries: false });
	expect(await sources(silent.store)).toEqual([]);
	await silent.publisher.close();
	await silent.runtime.close();
});

it("tells the load when it begins, and again only when it changes", async () => {
	vi.useFakeTimers();
	const { runtime, loads, publisher, served } = await publishing();
	const read = loads[Symbol.asyncIterator]();
	expect((await read.next()).value?.payload).toEqual({
		worker_id: served.instance.id,
		dp_rank: 0,
		active_decode_blocks: null,
		active_prefill_tokens: null,
		kv_used_blocks: 3,
	});
	const second = vi.fn();
	read.next().then(second);
	await vi.advanceTimersByTimeAsync(1000);
	expect(second).not.toHaveBeenCalled();
	vi.useRealTimers();
	await publisher.close();
	await runtime.close();
});
