// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { decodeMsgpack, encodeMsgpack } from "@dyn/protocols/msgpack";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Dealer, Subscriber } from "zeromq";
import { MemoryStore } from "../../discovery/memory-store.js";
import type { EventPlane, PublishOptions, SubscribeOptions } from "../event-plane.js";
import { decodeReplayReply, encodeReplayRequest } from "../replay-protocol.js";
import { eventChannelPrefix } from "../subject.js";
import { type Counts, createPlane, PuppetPublisher, Reader, scope, topic } from "./__fixtures__/planes.js";
import { decodeZmqChannel, type ZmqChannel } from "./zmq-channel.js";
import { decodeMessage, encodeFrame, encodeMessage } from "./zmq-message.js";

let store: MemoryStore;
let counts: Counts;
let publishing: EventPlane;
let subscribing: EventPlane;
const cleanUp: (() => void)[] = [];

beforeEach(async () => {
	store = new MemoryStore();
	counts = new Map();
	publishing = await createPlane(store, {}, counts);
	subscribing = await createPlane(store, {}, counts);
});
afterEach(async () => {
	await Promise.all([publishing.close(), subscribing.close()]);
	for (const each of cleanUp.splice(0)) each();
	await store.close();
});

const publish = (options?: PublishOptions) => publishing.publish(scope, topic, options);
const subscribe = (options?: SubscribeOptions) => subscribing.subscribe(scope, topic, options);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`);

async function puppet(): Promise<PuppetPublisher & { endpoint: string }> {
	const made = new PuppetPublisher();
	cleanUp.push(() => made.close());
	return Object.assign(made, { endpoint: await made.bind() });
}

const message = (publisherId: bigint, sequence: number, payload: unknown = sequence) =>
	encodeMessage(
		Buffer.from(topic),
		publisherId,
		BigInt(sequence),
		encodeFrame({
			publisherId,
			sequence: BigInt(sequence),
			publishedAtMs: 1700000000000,
			topic,
			payload: encodeMsgpack(payload),
		}),
	);

/** Channel documents in the store now, by key. */
async function channels(): Promise<Map<string, string>> {
	const found = new Map<string, string>();
	for await (const event of store.watch("v1/event_channels/", new AbortController().signal)) {
		if (event.type === "synced") break;
		if (event.type === "put") found.set(event.key, event.value);
	}
	return found;
}

async function onlyChannel(): Promise<ZmqChannel> {
	const [text] = (await channels()).values();
	return decodeZmqChannel(text!)!;
}

/** A puppet between a real publisher and its subscribers: they get what `pass` says, and can ask the real one for more. */
async function lossyPublisher(options: PublishOptions) {
	const hidden = new MemoryStore();
	const plane = await createPlane(hidden);
	cleanUp.push(() => void plane.close());
	const publisher = await plane.publish(scope, topic, options);
	const prefix = eventChannelPrefix(scope, topic);
	let channel: ZmqChannel | null = null;
	for await (const event of hidden.watch(prefix, new AbortController().signal)) {
		if (event.type === "put") channel = decodeZmqChannel(event.value);
		break;
	}
	const shown = await puppet();
	const config = { endpoint: shown.endpoint, replay_endpoint: channel!.replayEndpoint };
	return {
		publisher,
		puppet: shown,
		announce: () => shown.announce(store, publisher.id, config),
		withdraw: () => store.delete(prefix + publisher.id.toString(16)),
		pass: async (...sequences: number[]) => {
			for (const sequence of sequences) await shown.send(message(publisher.id, sequence));
		},
	};
}

describe("with peers of Dynamo", () => {
	it("announces a publisher with Dynamo's document", async () => {
		const publisher = await publish();
		const fixtures = new URL("../__fixtures__/stock-channels.json", import.meta.url);
		const recorded = Object.entries(JSON.parse(readFileSync(fixtures, "utf8")) as Record<string, string>);
		const [stockKey, stock] = recorded.find(([key]) => key.includes("/topic/kv-events/"))!;
		const [[key, text]] = [...(await channels())] as [[string, string]];
		const { publisherId, endpoint } = decodeZmqChannel(stock)!;
		const port = /:(\d+)$/.exec(decodeZmqChannel(text)!.endpoint)![1];
		expect(key).toBe(stockKey.replace(publisherId.toString(16), publisher.id.toString(16)));
		expect(text).toBe(
			stock.replace(String(publisherId), String(publisher.id)).replace(endpoint, `tcp://127.0.0.1:${port}`),
		);
	});

	it("sends messages of Dynamo's form", async () => {
		const publisher = await publish();
		const socket = new Subscriber();
		cleanUp.push(() => socket.close());
		socket.subscribe(topic);
		socket.connect((await onlyChannel()).endpoint);
		const received = socket.receive();
		const sending = setInterval(() => publisher.send({ worker_id: 2n ** 64n - 1n }), 5);
		const frames = await received;
		clearInterval(sending);
		const { topic: route, envelope } = decodeMessage(frames);
		expect(route).toBe(topic);
		expect(envelope).toMatchObject({ publisherId: publisher.id, topic });
		expect(decodeMsgpack(envelope.payload)).toEqual({ worker_id: 2n ** 64n - 1n });
	});

	it("reads recorded messages", async () => {
		const file = new URL("__fixtures__/stock-messages.jsonl", import.meta.url);
		const recorded = readFileSync(file, "utf8")
			.trim()
			.split("\n")
			.map((line) => (JSON.parse(line) as string[]).map((hex) => Buffer.from(hex, "hex")))
			.filter(([name]) => String(name) === topic)
			.slice(0, 3);
		const stock = await puppet();
		const id = decodeMessage(recorded[0]!).envelope.publisherId;
		await stock.announce(store, id, { endpoint: stock.endpoint, added_later: {} });
		const reader = new Reader(await subscribe());
		expect(await stock.subscription()).toBe(topic);
		for (const frames of recorded) await stock.send(frames);
		const event = await reader.next();
		expect(event).toMatchObject({ publisherId: id, sequence: 0n, missed: 0n });
		expect(event.payload).toMatchObject([
			{ storage_tier: "device", event: { event_id: 1, data: { stored: { parent_hash: null } } } },
		]);
		expect(await reader.take(2)).toEqual(["1", "2"]);
	});

	it("counts nonsense and goes on", async () => {
		const strange = await puppet();
		await strange.announce(store, 7n, { endpoint: strange.endpoint });
		const reader = new Reader(await subscribe());
		await strange.subscription();
		const [route, id, sequence, frame] = message(7n, 1);
		await strange.send(message(7n, 0));
		await strange.send([route]);
		await strange.send([route, id, sequence, Buffer.from("garbage")]);
		await strange.send([route, id, sequence, frame.subarray(0, -1)]);
		await strange.send([Buffer.from(`${topic}-2`), id, sequence, frame]); // another topic
		await strange.send(message(8n, 0)); // another publisher
		await strange.send(message(7n, 1));
		expect(await reader.take(2)).toEqual(["0", "1"]);
		expect(counts.get(`dyn_event_plane_invalid_total ${topic}`)).toBe(3);
	});

	it("counts gaps of a publisher that keeps nothing, and drops what is old", async () => {
		const stock = await puppet();
		await stock.announce(store, 7n, { endpoint: stock.endpoint });
		const reader = new Reader(await subscribe());
		await stock.subscription();
		for (const sequence of [40, 41, 41, 45, 43, 46]) await stock.send(message(7n, sequence));
		expect(await reader.take(4)).toEqual(["40", "41", "45(3)", "46"]);
	});

	it("skips channels that are of another plane or malformed", async () => {
		const stock = await puppet();
		const lease = await store.lease();
		const prefix = eventChannelPrefix(scope, topic);
		await store.put(`${prefix}1`, '{"instance_id":1,"transport":{"kind":"Nats","config":{}}}', lease);
		await store.put(`${prefix}2`, "{", lease);
		await stock.announce(store, 3n, { endpoint: "nowhere" });
		await stock.announce(store, 7n, { endpoint: stock.endpoint });
		const reader = new Reader(await subscribe());
		await stock.subscription();
		await stock.send(message(7n, 0));
		expect(await reader.take(1)).toEqual(["0"]);
	});
});

describe("between planes", () => {
	it("delivers every event of a publisher that comes later, in order", async () => {
		const reader = new Reader(await subscribe());
		const publisher = await publish({ replay: 1000 });
		for (let i = 0; i < 1000; i++) publisher.send({ i });
		expect(await reader.take(1000)).toEqual(range(0, 1000));
	});

	it("delivers to many, apart by topic and scope", async () => {
		const readers = await Promise.all([subscribe(), subscribe()].map(async (each) => new Reader(await each)));
		const other = new Reader(await subscribing.subscribe({ namespace: "dynamo" }, topic));
		const publisher = await publish({ replay: 10 });
		publisher.send("here");
		const elsewhere = await publishing.publish({ namespace: "dynamo" }, topic, { replay: 10 });
		elsewhere.send("elsewhere");
		for (const reader of readers) expect((await reader.next()).payload).toBe("here");
		expect((await other.next()).payload).toBe("elsewhere");
	});

	it("follows a publisher that leaves and one that takes its place", async () => {
		const reader = new Reader(await subscribe());
		const first = await publish({ replay: 10 });
		for (const each of [0, 1, 2]) first.send(each);
		expect(await reader.take(3)).toEqual(["0", "1", "2"]);
		await first.close();
		expect(await channels()).toEqual(new Map());
		const second = await publish({ replay: 10 });
		second.send("again");
		expect(await reader.next()).toMatchObject({ publisherId: second.id, sequence: 0n, missed: 0n });
	});

	it("subscribes when the publishers that are there are reached", async () => {
		const port = await puppet();
		port.close();
		await port.announce(store, 7n, { endpoint: port.endpoint });
		let subscribed = false;
		const subscription = subscribe().then((made) => {
			subscribed = true;
			return made;
		});
		for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
		expect(subscribed).toBe(false);
		const late = new PuppetPublisher();
		cleanUp.push(() => late.close());
		// ZeroMQ gives a port back some time after its socket was closed.
		await vi.waitFor(() => late.bind(port.endpoint), { timeout: 10_000 });
		const reader = new Reader(await subscription);
		expect(await late.subscription()).toBe(topic);
		await late.send(message(7n, 0));
		expect(await reader.take(1)).toEqual(["0"]);
	});

	it("leaves a publisher that is gone from discovery", async () => {
		const stock = await puppet();
		await stock.announce(store, 7n, { endpoint: stock.endpoint });
		await subscribe();
		expect(await stock.subscription()).toBe(topic);
		await store.delete(`${eventChannelPrefix(scope, topic)}7`);
		expect(await stock.subscription()).toBeNull();
	});

	it("drops what cannot be encoded, and says so to subscribers", async () => {
		const reader = new Reader(await subscribe());
		const publisher = await publish({ replay: 10 });
		publisher.send(0);
		publisher.send(() => {});
		publisher.send(2);
		expect(await reader.take(2)).toEqual(["0", "2(1)"]);
		expect(publisher.dropped).toBe(1);
		expect(counts.get(`dyn_event_plane_dropped_total ${topic} publisher`)).toBe(1);
	});

	it("refuses to open anything once it is closed", async () => {
		const publisher = await publish();
		const reader = new Reader(await subscribe());
		await Promise.all([publishing.close(), publishing.close(), subscribing.close()]);
		publisher.send("nobody hears");
		expect(await reader.next()).toBeUndefined();
		await expect(publish()).rejects.toThrow("[UNAVAILABLE]");
		await expect(subscribe()).rejects.toThrow("[UNAVAILABLE]");
	});

	it("says which address cannot be listened on", async () => {
		const plane = await createPlane(store, { host: "192.0.2.1" });
		await expect(plane.publish(scope, topic)).rejects.toThrow(/\[INVALID_ARGUMENT\].*tcp:\/\/192\.0\.2\.1/);
	});
});

describe("replay", () => {
	it("fills a gap, in order", async () => {
		const { publisher, puppet: shown, announce, pass } = await lossyPublisher({ replay: 100 });
		await announce();
		const reader = new Reader(await subscribe());
		await shown.subscription();
		for (let i = 0; i < 10; i++) publisher.send(i);
		await pass(0, 1, 2, 6, 7, 8, 9);
		expect(await reader.take(10)).toEqual(range(0, 10));
	});

	it("counts only what is really gone", async () => {
		const { publisher, puppet: shown, announce, pass } = await lossyPublisher({ replay: 4 });
		await announce();
		const reader = new Reader(await subscribe());
		await shown.subscription();
		for (let i = 0; i < 10; i++) publisher.send(i);
		await pass(0, 1, 2, 9);
		expect(await reader.take(7)).toEqual(["0", "1", "2", "6(3)", "7", "8", "9"]);
	});

	it("brings what was sent while a publisher was out of sight", async () => {
		const { publisher, puppet: shown, announce, withdraw, pass } = await lossyPublisher({ replay: 100 });
		await announce();
		const reader = new Reader(await subscribe());
		await shown.subscription();
		publisher.send(0);
		await pass(0);
		expect(await reader.take(1)).toEqual(["0"]);
		await withdraw();
		expect(await shown.subscription()).toBeNull();
		for (const each of [1, 2]) publisher.send(each);
		await announce();
		expect(await reader.take(2)).toEqual(["1", "2"]);
	});

	it("waits no longer than two seconds", async () => {
		const silent = new Dealer({ linger: 0 });
		cleanUp.push(() => silent.close());
		await silent.bind("tcp://127.0.0.1:*");
		const stock = await puppet();
		await stock.announce(store, 7n, { endpoint: stock.endpoint, replay_endpoint: silent.lastEndpoint });
		const reader = new Reader(await subscribe());
		await stock.subscription();
		for (const sequence of [0, 2]) await stock.send(message(7n, sequence));
		expect(await reader.take(2)).toEqual(["0", "2(1)"]);
	});

	it("answers after requests that are none", async () => {
		const publisher = await publish({ replay: 2 });
		for (let i = 0; i < 3; i++) publisher.send(i);
		const socket = new Dealer({ linger: 0 });
		cleanUp.push(() => socket.close());
		socket.connect((await onlyChannel()).replayEndpoint!);
		await socket.send("garbage");
		await socket.send(encodeReplayRequest({ publisherId: publisher.id + 1n, from: 0n, to: 9n }));
		await socket.send(encodeReplayRequest({ publisherId: publisher.id, from: 0n, to: 9n }));
		const [head, ...frames] = await socket.receive();
		expect(decodeReplayReply(head!)).toEqual({ publisherId: publisher.id, next: 3n });
		expect(frames).toHaveLength(2);
	});
});

describe("bounds", () => {
	it("drops the oldest at a subscriber that does not read", async () => {
		const subscription = await subscribe({ capacity: 10 });
		const publisher = await publish({ replay: 100 });
		for (let i = 0; i < 100; i++) publisher.send(i);
		await vi.waitFor(() => expect(subscription.dropped).toBe(90), { timeout: 10_000 });
		expect(await new Reader(subscription).take(2)).toEqual(["90(90)", "91"]);
		expect(counts.get(`dyn_event_plane_dropped_total ${topic} subscriber`)).toBe(90);
	});

	it("keeps no more of a burst than it may", async () => {
		const reader = new Reader(await subscribe());
		const publisher = await publish({ capacity: 1000, replay: 10 });
		for (let i = 0; i < 100_000; i++) publisher.send(i);
		expect(publisher.dropped).toBeGreaterThanOrEqual(98_000);
		const kept = 100_000 - publisher.dropped;
		let last = await reader.next();
		let received = 1;
		for (; last.sequence < 99_999n; received++) last = await reader.next();
		expect(received).toBeLessThanOrEqual(kept + 10);
		expect(counts.get(`dyn_event_plane_dropped_total ${topic} publisher`)).toBe(publisher.dropped);
	});
});
