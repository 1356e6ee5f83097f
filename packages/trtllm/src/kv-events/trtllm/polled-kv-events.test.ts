// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLogger } from "@dyn/common";
import type { KvEvent } from "@dyn/protocols";
import { expect, it, vi } from "vitest";
import { KvEventMetrics } from "./kv-event-metrics.js";
import { openKvEventSource } from "./open-kv-event-source.js";

/** A trtllm-serve that answers each poll with the next of `answers`, then with nothing new. */
async function polled(answers: readonly (string | number)[], wanted: number): Promise<KvEvent[]> {
	let polls = 0;
	const server = createServer((request, response) => {
		const answer =
			request.method === "POST" && request.url === "/kv_cache_events" ? (answers[polls++] ?? "[]") : 404;
		response
			.writeHead(typeof answer === "number" ? answer : 200)
			.end(typeof answer === "number" ? "" : answer);
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	const stop = new AbortController();
	const seen: KvEvent[] = [];
	const pollUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/kv_cache_events`;
	const events = await openKvEventSource({
		kvBlockSize: 2,
		dpSize: 2,
		askEngine: async () => {
			throw new Error("UNIMPLEMENTED");
		},
		pollUrl,
		logger: silentLogger,
		signal: stop.signal,
	});
	for await (const event of events!) {
		seen.push(event);
		if (seen.length === wanted && polls > answers.length) break;
		if (seen.length === wanted) stop.abort();
	}
	stop.abort();
	server.closeAllConnections();
	server.close();
	return seen;
}

const stored = (id: number, hash: string, rank = 0) =>
	`{"event_id":${id},"attention_dp_rank":${rank},"window_size":64,"data":{"type":"stored","parent_hash":null,"blocks":[{"type":"stored_block","block_hash":${hash},"tokens":[{"token_id":1},{"token_id":2}]}]}}`;
const created = '{"event_id":0,"window_size":64,"data":{"type":"created","num_blocks_per_cache_level":[8]}}';
const names = (events: readonly KvEvent[]) =>
	events.map(({ dpRank, eventId, data }) => [
		dpRank,
		eventId,
		data.type === "stored" ? data.blocks[0]!.blockHash : data.type,
	]);

it("asks again and again, keeps every digit, and counts each rank's losses", async () => {
	const lost = vi.spyOn(KvEventMetrics.prototype, "lost");
	const drained = vi.spyOn(KvEventMetrics.prototype, "drained");
	const events = await polled(
		[
			`[${created},${stored(1, "18446744073709551615")}]`,
			"[]",
			`[${stored(0, "7", 1)},{"event_id":2,"data":{"type":"eaten"}},${stored(5, "3")}]`,
			`[{"event_id":6,"data":{"type":"removed","block_hashes":[3]},"window_size":64}]`,
		],
		4,
	);
	expect(names(events)).toEqual([
		[0, 0, 2n ** 64n - 1n],
		[1, 0, 7n],
		[0, 1, 3n],
		[0, 2, "removed"],
	]);
	// The one that made no sense had an id, but nobody could read it.
	expect(lost.mock.calls).toEqual([[3]]);
	expect(drained.mock.calls).toEqual([[2], [3], [1]]);
	vi.restoreAllMocks();
});

it("outlives an engine that fails, and says that the cache is empty when it was started again", async () => {
	const events = await polled([`[${stored(8, "1")}]`, 503, "no json", `[${created},${stored(1, "2")}]`], 3);
	expect(names(events)).toEqual([
		[0, 0, 1n],
		[0, 1, "cleared"],
		[0, 2, 2n],
	]);
});

it("has no source for an engine without one", async () => {
	const options = { kvBlockSize: 2, dpSize: 1, logger: silentLogger, signal: new AbortController().signal };
	expect(await openKvEventSource(options)).toBeNull();
});
