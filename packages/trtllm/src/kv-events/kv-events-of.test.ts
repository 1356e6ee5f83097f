// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, silentLogger } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";
import { afterEach, expect, it, vi } from "vitest";
import { kvEventsOf } from "./kv-events-of.js";

afterEach(() => vi.useRealTimers());

const info = (kvEvents: boolean) =>
	({ model: "m", dpSize: 2, kvBlockSize: 32, capabilities: { kvEvents } }) as EngineInfo;
const common = { endpoint: undefined, logger: silentLogger, metrics: undefined };
const cleared = (dpRank: number): KvEvent => ({ eventId: 0, dpRank, data: { type: "cleared" } });
const removed: KvEvent = { eventId: 7, dpRank: 1, data: { type: "removed", blockHashes: [1n] } };

it("hears an engine from before it is asked for the first event, and again after the engine was lost", async () => {
	vi.useFakeTimers();
	const queues: AsyncQueue<KvEvent>[] = [];
	const engine = {
		kvEvents: () => {
			queues.push(new AsyncQueue());
			return queues.at(-1)!;
		},
	};
	const source = await kvEventsOf({ ...common, engine, info: info(true) });
	expect(queues).toHaveLength(1);
	const events = source!.events[Symbol.asyncIterator]();
	queues[0]!.push(removed);
	expect((await events.next()).value).toEqual(removed);
	queues[0]!.fail(new Error("gone"));
	expect([(await events.next()).value, (await events.next()).value]).toEqual([cleared(0), cleared(1)]);
	const next = events.next();
	await vi.advanceTimersByTimeAsync(1000);
	// It is not there yet: nothing was heard, so there is nothing to clear.
	queues[1]!.end();
	await vi.advanceTimersByTimeAsync(1000);
	queues[2]!.push(removed);
	expect((await next).value).toEqual(removed);
	const last = events.next();
	source!.stop();
	queues[2]!.end();
	expect((await last).done).toBe(true);
});

it("has nothing to publish for an engine without events", async () => {
	const warn = vi.fn();
	const engine = { kvEvents: () => new AsyncQueue<KvEvent>() };
	const logger = { ...silentLogger, warn };
	expect(await kvEventsOf({ ...common, engine, info: info(false), logger })).toBeNull();
	expect(warn).toHaveBeenCalledTimes(1);
});
