// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { type KeyValueStore, MemoryStore, type ReceivedEvent } from "@dyn/runtime";
import { describe, expect, it } from "vitest";
import { failure, Peer, take } from "../nats-peer.js";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`tests of events over NATS skipped: ${missing}`);

describe.skipIf(missing)("events over NATS", () => {
	const scope = { namespace: "dyn.1", component: "backend" };

	it("brings events in order to every subscriber of the subject, and announces the publisher", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const first = await reading.runtime.events.subscribe(scope, "kv-events");
		const second = await publishing.runtime.events.subscribe(scope, "kv-events");
		const elsewhere = await reading.runtime.events.subscribe({ namespace: "dyn.1" }, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events");

		const channel = [...(await entries(discovery))];
		const hex = publisher.id.toString(16);
		expect(channel.map(([key]) => key)).toEqual([
			`v1/event_channels/namespace/dyn%2E1/component/backend/topic/kv-events/${hex}`,
		]);
		expect(channel[0]![1]).toContain(
			'"transport":{"kind":"Nats","config":{"subject_prefix":"namespace.dyn%2E1.component.backend"}}',
		);

		const payload = (i: number) => ({ i, hash: 2n ** 63n + 1n, bytes: Buffer.from([1, 2, 3]) });
		const count = 5000;
		for (let i = 0; i < count; i++) publisher.send(payload(i));
		for (const subscription of [first, second]) {
			const events = await take(subscription, count);
			expect(events.map(({ sequence }) => Number(sequence))).toEqual(
				Array.from({ length: count }, (_, i) => i),
			);
			expect(events.every((event) => event.missed === 0n && event.publisherId === publisher.id)).toBe(true);
			expect(events[4999]!.payload).toEqual(payload(4999));
			expect(Math.abs(events[0]!.publishedAtMs - Date.now())).toBeLessThan(60_000);
		}
		expect(publisher.dropped).toBe(0);

		const namespace = await publishing.runtime.events.publish({ namespace: "dyn.1" }, "kv-events");
		namespace.send("for the namespace");
		expect((await take(elsewhere, 1))[0]!.payload).toBe("for the namespace");
		await publisher.close();
		await namespace.close();
		expect(await entries(discovery)).toEqual(new Map());
	});

	it("keeps the newest while NATS is away, counts the others, and goes on when it is back", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events", { capacity: 10 });
		for (let i = 0; i < 5; i++) publisher.send(i);
		expect((await take(subscription, 5)).map(({ payload }) => payload)).toEqual([0, 1, 2, 3, 4]);

		await server.kill();
		await Promise.all([publishing.becomes(false), reading.becomes(false)]);
		for (let i = 5; i < 105; i++) publisher.send(i);
		expect(publisher.dropped).toBe(90);
		await server.start();
		await Promise.all([publishing.becomes(true), reading.becomes(true)]);
		await reading.nats.flush(); // it is subscribed again
		publisher.send("last");
		const rest: ReceivedEvent[] = [];
		for await (const event of subscription) {
			rest.push(event);
			if (event.payload === "last") break;
		}
		// Those kept may have come before the reader was back; then they are missed like the dropped ones.
		const missed = rest.reduce((sum, event) => sum + event.missed, 0n);
		expect(missed + BigInt(rest.length)).toBe(101n);
		expect(missed).toBeGreaterThanOrEqual(90n);
		expect(rest[0]!.missed).toBe(missed);
		expect(publisher.dropped).toBe(90);
	});

	it("survives being killed again and again in the middle of a burst", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events", { capacity: 100 });
		let sent = 0;
		const send = (count: number) => {
			for (const end = sent + count; sent < end; sent++) publisher.send(sent);
		};
		const received: ReceivedEvent[] = [];
		for (let round = 0; round < 3; round++) {
			send(2000);
			const killed = server.kill();
			send(2000);
			await killed;
			await Promise.all([publishing.becomes(false), reading.becomes(false)]);
			send(2000);
			await server.start();
			await Promise.all([publishing.becomes(true), reading.becomes(true)]);
			await reading.nats.flush(); // it is subscribed again
			send(1);
			do received.push(...(await take(subscription, 1)));
			while (received.at(-1)!.payload !== sent - 1);
		}
		const sequences = received.map(({ sequence }) => Number(sequence));
		expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
		expect(received.map(({ payload }) => payload)).toEqual(sequences);
		// Every event came or is known to be missed, but for those before the first that came.
		const missed = received.reduce((sum, event) => sum + Number(event.missed), 0);
		expect(sequences[0]! + missed + received.length).toBe(sent);
	});

	it("lets a slow subscriber lose the oldest and know how many", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const slow = await reading.runtime.events.subscribe(scope, "kv-events", { capacity: 5 });
		const watching = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events");
		for (let i = 0; i < 20; i++) publisher.send(i);
		await take(watching, 20);
		expect(slow.dropped).toBe(15);
		const events = await take(slow, 5);
		await Promise.all([slow.close(), watching.close()]);
		await reading.nats.flush();
		const { signal } = createRequestContext();
		const subject = "namespace.dyn%2E1.component.backend.kv-events";
		const nobody = await failure(publishing.nats.request(subject, new Uint8Array(), {}, signal));
		expect(nobody.message).toBe(`[UNAVAILABLE] nobody serves ${subject} any more`);
		expect(events.map(({ payload, missed }) => [payload, missed])).toEqual([
			[15, 15n],
			[16, 0n],
			[17, 0n],
			[18, 0n],
			[19, 0n],
		]);
	});

	it("drops what cannot be sent without throwing, and sends the next", async () => {
		await using server = await NatsServer.start();
		await using peer = await Peer.start(server, new MemoryStore());
		const subscription = await peer.runtime.events.subscribe(scope, "kv-events");
		const publisher = await peer.runtime.events.publish(scope, "kv-events");
		publisher.send("first");
		publisher.send(() => "a function is no data");
		publisher.send(new Uint8Array(2 ** 21));
		publisher.send("last");
		const [first, last] = await take(subscription, 2);
		expect([first!.payload, last!.payload, last!.missed]).toEqual(["first", "last", 2n]);
		expect(publisher.dropped).toBe(2);
	});
});

async function entries(store: KeyValueStore): Promise<Map<string, string>> {
	const found = new Map<string, string>();
	for await (const event of store.watch("v1/event_channels/", new AbortController().signal)) {
		if (event.type === "synced") break;
		if (event.type === "put") found.set(event.key, event.value);
	}
	return found;
}
