// SPDX-License-Identifier: Apache-2.0
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import { afterEach, beforeEach, expect, it } from "vitest";
import { MemoryStore } from "../../discovery/memory-store.js";
import type { EventPlane, EventPublisher } from "../event-plane.js";
import { eventSubject } from "../subject.js";
import { createPlane, PuppetPublisher, Reader, scope, topic } from "./__fixtures__/planes.js";
import { createZmqBroker, type ZmqBroker } from "./zmq-broker.js";
import { encodeFrame, encodeMessage } from "./zmq-message.js";

const anywhere = { xsubBind: "tcp://127.0.0.1:*", xpubBind: "tcp://127.0.0.1:*" };
let store: MemoryStore;
let brokers: ZmqBroker[];
const planes: EventPlane[] = [];

beforeEach(async () => {
	store = new MemoryStore();
	brokers = await Promise.all([createZmqBroker(anywhere), createZmqBroker(anywhere)]);
});
afterEach(async () => {
	await Promise.all(planes.splice(0).map((plane) => plane.close()));
	await Promise.all(brokers.map((broker) => broker.close()));
	await store.close();
});

async function planeOf(xsub: string[], xpub: string[]): Promise<EventPlane> {
	const plane = await createPlane(store, { broker: { xsub, xpub } });
	planes.push(plane);
	return plane;
}

/** Sends until every reader has got something: what a publisher sends before it is connected is lost unnoticed. */
async function connected(publisher: EventPublisher, ...readers: Reader[]): Promise<void> {
	const sending = setInterval(() => publisher.send("probe"), 5);
	await Promise.all(readers.map((reader) => reader.next()));
	clearInterval(sending);
}

/** The next payloads but for probes. */
async function payloads(reader: Reader, count: number): Promise<unknown[]> {
	const read: unknown[] = [];
	while (read.length < count) {
		const { payload, missed } = await reader.next();
		expect(missed).toBe(0n);
		if (payload !== "probe") read.push(payload);
	}
	return read;
}

it("delivers each event once though two brokers forward it, and goes on with one", async () => {
	const [first, second] = brokers as [ZmqBroker, ZmqBroker];
	const publishing = await planeOf([first.xsub, second.xsub], []);
	const publisher = await publishing.publish(scope, topic);
	const subscribe = async (...xpub: string[]) =>
		new Reader(await (await planeOf([], xpub)).subscribe(scope, topic));
	const both = await subscribe(first.xpub, second.xpub);
	const onlyFirst = await subscribe(first.xpub);
	const onlySecond = await subscribe(second.xpub);
	await connected(publisher, both, onlyFirst, onlySecond);

	const sent = Array.from({ length: 100 }, (_, i) => i);
	for (const each of sent) publisher.send(each);
	for (const reader of [both, onlyFirst, onlySecond]) expect(await payloads(reader, 100)).toEqual(sent);

	await first.close();
	publisher.send(100);
	for (const reader of [both, onlySecond]) expect(await payloads(reader, 1)).toEqual([100]);
});

it("leaves nothing in discovery, and keeps topics that begin alike apart", async () => {
	const [{ xsub, xpub }] = brokers as [ZmqBroker];
	const plane = await planeOf([xsub], [xpub]);
	const reader = new Reader(await plane.subscribe(scope, topic));
	const longer = await plane.publish(scope, `${topic}-2`);
	const publisher = await plane.publish(scope, topic);
	longer.send("for others");
	await connected(publisher, reader);
	longer.send("for others");
	publisher.send(1);
	longer.send("for others");
	publisher.send(2);
	expect(await payloads(reader, 2)).toEqual([1, 2]);
	for await (const event of store.watch("", new AbortController().signal)) {
		expect(event.type).toBe("synced");
		break;
	}
});

it("takes from one broker what another has lost", async () => {
	const puppets = [new PuppetPublisher(), new PuppetPublisher()] as const;
	const plane = await planeOf([], await Promise.all(puppets.map((puppet) => puppet.bind())));
	const reader = new Reader(await plane.subscribe(scope, topic));
	const route = eventSubject(scope, topic);
	for (const puppet of puppets) expect(await puppet.subscription()).toBe(route);
	const send = (puppet: PuppetPublisher, sequence: bigint) => {
		const envelope = { publisherId: 7n, sequence, publishedAtMs: 0, topic, payload: encodeMsgpack(null) };
		return puppet.send(encodeMessage(Buffer.from(route), 7n, sequence, encodeFrame(envelope)));
	};
	const [one, other] = puppets;
	await send(one, 0n);
	expect(await reader.take(1)).toEqual(["0"]);
	await send(one, 3n);
	for (const sequence of [0n, 1n, 2n, 3n, 4n]) await send(other, sequence);
	expect(await reader.take(4)).toEqual(["1", "2", "3", "4"]);
	await send(one, 6n);
	expect(await reader.take(1)).toEqual(["6(1)"]);
	for (const puppet of puppets) puppet.close();
});

it("brings what the broker lost, from a publisher that keeps it", async () => {
	const publishing = await planeOf([brokers[0]!.xsub], []);
	// Of the publisher's events only those come that the test forwards.
	const puppet = new PuppetPublisher();
	const reading = await planeOf([], [await puppet.bind()]);
	const reader = new Reader(await reading.subscribe(scope, topic));
	const route = eventSubject(scope, topic);
	expect(await puppet.subscription()).toBe(route);
	const publisher = await publishing.publish(scope, topic, { replay: 5 });
	for (let i = 0; i < 10; i++) publisher.send(i);
	const forward = (sequence: bigint) => {
		const envelope = {
			publisherId: publisher.id,
			sequence,
			publishedAtMs: 0,
			topic,
			payload: encodeMsgpack(Number(sequence)),
		};
		return puppet.send(encodeMessage(Buffer.from(route), publisher.id, sequence, encodeFrame(envelope)));
	};
	await forward(0n);
	await forward(9n);
	expect(await reader.take(6)).toEqual(["0", "5(4)", "6", "7", "8", "9"]);
	publisher.send(10);
	publisher.send(11);
	await forward(11n);
	expect(await reader.take(2)).toEqual(["10", "11"]);
	await publisher.close();
	for await (const event of store.watch("", new AbortController().signal)) {
		expect(event.type).toBe("synced");
		break;
	}
	puppet.close();
});

it("refuses addresses that are none", async () => {
	const bad = await planeOf(["nowhere"], ["tcp://"]);
	await expect(bad.publish(scope, topic)).rejects.toThrow(/\[INVALID_ARGUMENT\].*nowhere/);
	await expect(bad.subscribe(scope, topic)).rejects.toThrow(/\[INVALID_ARGUMENT\].*tcp:/);
	await expect(createZmqBroker({ ...anywhere, xpubBind: brokers[0]!.xpub })).rejects.toThrow(
		/\[INVALID_ARGUMENT\].*free port/,
	);
});
