// SPDX-License-Identifier: Apache-2.0
import { noMetrics, silentLogger } from "@dyn/common";
import type { KvEvent } from "@dyn/protocols";
import { afterEach, expect, it, vi } from "vitest";
import { EngineRank } from "./__fixtures__/engine-publisher.js";
import { KvEventMetrics } from "./kv-event-metrics.js";
import { namedEndpoints } from "./named-endpoints.js";
import { type KvEventSourceOptions, openKvEventSource } from "./open-kv-event-source.js";

const opened: { close(): Promise<void> | void }[] = [];
afterEach(async () => {
	for (const each of opened.splice(0).reverse()) await each.close();
	vi.restoreAllMocks();
});

async function rank(): Promise<EngineRank> {
	const made = await EngineRank.start();
	opened.push(made);
	return made;
}

/** Events as [rank, id, name of the block or what it is]. */
async function listen(options: Partial<KvEventSourceOptions>) {
	const stop = new AbortController();
	const events = await openKvEventSource({
		kvBlockSize: 2,
		dpSize: 1,
		logger: silentLogger,
		signal: stop.signal,
		...options,
	});
	const seen: [number, number, bigint | string][] = [];
	const reading = (async () => {
		for await (const event of events!) seen.push([event.dpRank, event.eventId, nameOf(event)]);
	})();
	opened.push({
		close: async () => {
			stop.abort();
			await reading;
		},
	});
	return { seen, stop, reading };
}

const nameOf = ({ data }: KvEvent): bigint | string =>
	data.type === "stored" ? data.blocks[0]!.blockHash : data.type;

/** As OpenEngine's GetKvEventSources names it. */
const named = ({ endpoint }: { readonly endpoint: string }, dataParallelRank: number) => ({
	transport: "zmq",
	encoding: "msgpack",
	endpointAddr: { host: "127.0.0.1", port: Number(endpoint.split(":")[2]) },
	topic: "",
	replayEndpoint: "",
	dataParallelRank,
});

const block = (name: number) => ["BlockStored", [name], null, [name, name], 2, null, "GPU"];
const arrived = (seen: readonly unknown[], count: number) =>
	vi.waitFor(() => expect(seen).toHaveLength(count), { timeout: 10_000 });

it("asks for what is missing, also from before it listened, and keeps the order", async () => {
	const lost = vi.spyOn(KvEventMetrics.prototype, "lost");
	const engine = await rank();
	await engine.publish([block(1)]);
	const { seen } = await listen({
		configured: { endpoint: engine.endpoint, replayEndpoint: engine.replayEndpoint },
		metrics: noMetrics,
	});
	await engine.subscribed();
	await engine.publish([block(2), block(3)]);
	await engine.publish([block(4)], { lost: true });
	await engine.publish([block(5)], { lost: true });
	await engine.publish([block(6)]);
	await arrived(seen, 6);
	expect(seen).toEqual([1n, 2n, 3n, 4n, 5n, 6n].map((name, id) => [0, id, name]));
	expect(engine.asked).toEqual([0n, 2n]);
	expect(lost).not.toHaveBeenCalled();
});

it("counts what the engine cannot replay, and goes on", async () => {
	const lost = vi.spyOn(KvEventMetrics.prototype, "lost");
	const engine = await rank();
	const { seen } = await listen({
		configured: { endpoint: engine.endpoint, replayEndpoint: engine.replayEndpoint },
	});
	await engine.subscribed();
	await engine.publish([block(1)]);
	await engine.publish([block(2)], { lost: true, forgotten: true });
	await engine.publish([block(3)], { lost: true });
	await engine.publish([block(4)]);
	await arrived(seen, 3);
	expect(seen.map(([, , name]) => name)).toEqual([1n, 3n, 4n]);
	expect(lost.mock.calls).toEqual([[1]]);
});

it("says that the cache is empty when the engine was started again", async () => {
	const engine = await rank();
	const { seen } = await listen({
		configured: { endpoint: engine.endpoint, replayEndpoint: engine.replayEndpoint },
	});
	await engine.subscribed();
	await engine.publish([block(1)]);
	await engine.publish([block(2)]);
	engine.restart();
	await engine.publish([block(3)], { lost: true });
	await engine.publish([block(4)]);
	await arrived(seen, 5);
	expect(seen.map(([, , name]) => name)).toEqual([1n, 2n, "cleared", 3n, 4n]);
});

it("goes past what is no batch, and without a replay socket past a gap", async () => {
	const lost = vi.spyOn(KvEventMetrics.prototype, "lost");
	const engine = await rank();
	const { seen } = await listen({ configured: { endpoint: engine.endpoint } });
	await engine.subscribed();
	await engine.publish([block(1)]);
	await engine.send([Buffer.alloc(0)]);
	await engine.send([Buffer.alloc(0), Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), Buffer.from("garbage")]);
	await engine.publish([["Nonsense"], block(2)], { lost: true });
	await engine.publish([["Nonsense"], block(3)]);
	await engine.publish([block(4)], { lost: true });
	await engine.publish([block(5)]);
	await arrived(seen, 3);
	expect(seen.map(([, , name]) => name)).toEqual([1n, 3n, 5n]);
	expect(lost.mock.calls).toEqual([[1]]);
});

it("listens to every rank that the engine names, each with its own count, until it is told to stop", async () => {
	const engines = [await rank(), await rank()];
	const { seen, stop, reading } = await listen({
		dpSize: 2,
		askEngine: async () =>
			namedEndpoints([...engines.map(named), { ...named(engines[0]!, 0), transport: "grpc" }]),
		configured: { endpoint: "tcp://127.0.0.1:1" },
	});
	for (const engine of engines) await engine.subscribed();
	await engines[1]!.publish([block(1)]);
	await arrived(seen, 1);
	await engines[0]!.publish([block(2)]);
	await arrived(seen, 2);
	await engines[1]!.publish([block(3)]);
	await arrived(seen, 3);
	expect(seen).toEqual([
		[1, 0, 1n],
		[0, 0, 2n],
		[1, 1, 3n],
	]);
	await engines[0]!.publish([block(4)]);
	stop.abort();
	await reading;
});
