// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from "vitest";
import { MemoryStore } from "../../discovery/memory-store.js";
import type { EventPlane } from "../event-plane.js";
import { createPlane, Reader, scope, topic } from "./__fixtures__/planes.js";
import { announceZmqBroker } from "./broker-channel.js";
import { createZmqBroker, type ZmqBroker } from "./zmq-broker.js";

let store: MemoryStore;
const opened: { close(): Promise<unknown> }[] = [];

beforeEach(() => {
	store = new MemoryStore();
});
afterEach(async () => {
	for (const each of opened.splice(0).reverse()) await each.close();
	await store.close();
});

async function startBroker(): Promise<ZmqBroker> {
	const broker = await createZmqBroker({ xsubBind: "tcp://127.0.0.1:*", xpubBind: "tcp://127.0.0.1:*" });
	opened.push(broker);
	return broker;
}

const announce = ({ xsub, xpub }: ZmqBroker, namespace = scope.namespace) =>
	announceZmqBroker({ store, namespace, endpoints: { xsub: [xsub], xpub: [xpub] } });

async function planeThatDiscovers(): Promise<EventPlane> {
	const plane = await createPlane(store, { broker: "discover" });
	opened.push(plane);
	return plane;
}

it("announces a broker as Dynamo does, and takes it back", async () => {
	const broker = await startBroker();
	const withdraw = await announce(broker);
	const entries = new Map<string, string>();
	for await (const event of store.watch("", new AbortController().signal)) {
		if (event.type === "put") entries.set(event.key, event.value);
		else break;
	}
	const [[key, value]] = [...entries] as [[string, string]];
	expect(key).toMatch(
		/^v1\/event_channels\/namespace\/dynamo\/component\/zmq_broker\/topic\/broker\/[0-9a-f]+$/,
	);
	expect(JSON.parse(value)).toEqual({
		type: "EventChannel",
		scope: { kind: "component", namespace: "dynamo", component: "zmq_broker" },
		topic: "broker",
		instance_id: Number.parseInt(key.split("/").at(-1)!, 16),
		transport: {
			kind: "ZmqBroker",
			config: { xsub_endpoints: [broker.xsub], xpub_endpoints: [broker.xpub] },
		},
	});
	await withdraw();
	for await (const event of store.watch("", new AbortController().signal)) {
		expect(event.type).toBe("synced");
		break;
	}
});

it("finds the broker of its namespace, also one that comes a moment later", async () => {
	const elsewhere = await startBroker();
	await announce(elsewhere, "elsewhere");
	const [publishing, reading] = [await planeThatDiscovers(), await planeThatDiscovers()];
	const subscribing = reading.subscribe(scope, topic);
	const publisherOpening = publishing.publish(scope, topic, { replay: 10 });
	await announce(await startBroker());
	const reader = new Reader(await subscribing);
	const publisher = await publisherOpening;
	for (let i = 0; i < 3; i++) publisher.send(i);
	expect(await reader.take(3)).toEqual(["0", "1", "2"]);
});

it("moves to another broker when its own is gone", async () => {
	const first = await startBroker();
	const withdraw = await announce(first);
	const [publishing, reading] = [await planeThatDiscovers(), await planeThatDiscovers()];
	const reader = new Reader(await reading.subscribe(scope, topic));
	const publisher = await publishing.publish(scope, topic, { replay: 10_000 });
	publisher.send("first");
	expect(await reader.take(1)).toEqual(["0"]);
	await announce(await startBroker());
	await withdraw();
	await first.close();
	let sent = 1;
	const sending = setInterval(() => {
		publisher.send("more");
		sent++;
	}, 5);
	const [next] = await reader.take(1);
	clearInterval(sending);
	expect(next).toBe("1"); // what was sent in between is there too
	expect(await reader.take(sent - 2)).toEqual(Array.from({ length: sent - 2 }, (_, i) => `${i + 2}`));
});

it("says what to do when there is no broker", async () => {
	const plane = await planeThatDiscovers();
	await expect(plane.publish(scope, topic)).rejects.toThrow(
		/^\[UNAVAILABLE\].*no broker of events in namespace dynamo: start one there, or give its address/,
	);
});
