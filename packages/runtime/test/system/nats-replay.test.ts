// SPDX-License-Identifier: Apache-2.0
import { MemoryStore } from "@dyn/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeEnvelope } from "../../src/event-plane/envelope.js";
import { Peer, take } from "../nats-peer.js";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`tests of event replay over NATS skipped: ${missing}`);

const scope = { namespace: "dyn", component: "backend" };
const SUBJECT = "namespace.dyn.component.backend.kv-events";

describe.skipIf(missing)("events that were missed over NATS", () => {
	let server: NatsServer;
	beforeAll(async () => {
		server = await NatsServer.start();
	});
	afterAll(() => server.kill());

	it("come from the publisher, more than the outbox and one message hold", async () => {
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const options = { capacity: 10, replay: 1000 };
		const publisher = await publishing.runtime.events.publish(scope, "kv-events", options);
		publisher.send("first");
		await take(subscription, 1);
		await server.kill();
		await Promise.all([publishing.becomes(false), reading.becomes(false)]);
		const large = "x".repeat(20_000);
		for (let i = 0; i < 200; i++) publisher.send([i, large]);
		expect(publisher.dropped).toBe(190);
		await server.start();
		await Promise.all([publishing.becomes(true), reading.becomes(true)]);
		await reading.nats.flush(); // it is subscribed again
		publisher.send("last");
		const events = await take(subscription, 201);
		expect(events.map(({ sequence }) => Number(sequence))).toEqual(
			Array.from({ length: 201 }, (_, i) => i + 1),
		);
		expect(events.every((event) => event.missed === 0n)).toBe(true);
		expect(events[200]!.payload).toBe("last");
	});

	it("come when the subscriber is back, though nothing follows them", async () => {
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events", {
			capacity: 1,
			replay: 100,
		});
		publisher.send(0);
		await take(subscription, 1);
		await server.kill();
		await Promise.all([publishing.becomes(false), reading.becomes(false)]);
		for (let i = 1; i <= 5; i++) publisher.send(i);
		await server.start();
		const events = await take(subscription, 5);
		expect(events.map(({ payload, missed }) => [payload, missed])).toEqual(
			[1, 2, 3, 4, 5].map((i) => [i, 0n]),
		);
	});

	it("are counted when the publisher keeps none, as Dynamo's", async () => {
		await using reading = await Peer.start(server, new MemoryStore());
		await using stock = await Peer.start(server, new MemoryStore());
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const send = (sequence: bigint) => {
			const payload = new Uint8Array([0xc0]);
			const event = { publisherId: 99n, sequence, publishedAtMs: 0, topic: "kv-events", payload };
			stock.nats.publish(SUBJECT, encodeEnvelope(event));
		};
		for (const sequence of [0n, 5n, 6n]) send(sequence);
		const events = await take(subscription, 3);
		expect(events.map(({ sequence, missed }) => [sequence, missed])).toEqual([
			[0n, 0n],
			[5n, 4n],
			[6n, 0n],
		]);
	});

	it("are not answered for any more when the publisher has left", async () => {
		await using peer = await Peer.start(server, new MemoryStore());
		const publisher = await peer.runtime.events.publish(scope, "kv-events", { replay: 10 });
		const subject = `dyn.replay.${publisher.id.toString(16)}`;
		await publisher.close();
		await peer.nats.flush();
		const { signal } = new AbortController();
		await expect(peer.nats.request(subject, new Uint8Array(25), {}, signal)).rejects.toThrow("nobody serves");
	});
});
