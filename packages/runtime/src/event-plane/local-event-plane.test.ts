// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { EventSubscription, ReceivedEvent } from "./event-plane.js";
import { LocalEventPlane } from "./local-event-plane.js";

const scope = { namespace: "ns", component: "c" };

async function next(subscription: EventSubscription): Promise<ReceivedEvent | undefined> {
	return (await subscription[Symbol.asyncIterator]().next()).value;
}

it("hands every subscriber of the scope and topic the value itself", async () => {
	const plane = new LocalEventPlane();
	const readers = [await plane.subscribe(scope, "t"), await plane.subscribe(scope, "t")];
	const others = [await plane.subscribe(scope, "u"), await plane.subscribe({ namespace: "ns" }, "t")];
	const publisher = await plane.publish(scope, "t");
	const payload = { any: new Map() };
	publisher.send(payload);
	for (const reader of readers) {
		const event = await next(reader);
		expect(event).toMatchObject({ publisherId: publisher.id, sequence: 0n, missed: 0n });
		expect(event!.payload).toBe(payload);
	}
	const waiting = others.map(next);
	await plane.close();
	expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
});

it("numbers each publisher's events, and tells a slow reader what it lost", async () => {
	const plane = new LocalEventPlane();
	const reader = await plane.subscribe(scope, "t", { capacity: 2 });
	const [one, two] = [await plane.publish(scope, "t"), await plane.publish(scope, "t")];
	expect(one.id).not.toBe(two.id);
	for (let i = 0; i < 4; i++) one.send(i);
	two.send("other");
	expect(reader.dropped).toBe(3);
	const events = reader[Symbol.asyncIterator]();
	expect((await events.next()).value).toMatchObject({ publisherId: one.id, sequence: 3n, missed: 3n });
	expect((await events.next()).value).toMatchObject({ publisherId: two.id, sequence: 0n, missed: 0n });
	await plane.close();
});

it("delivers nothing from a publisher that is closed, nor to a subscription that is", async () => {
	const plane = new LocalEventPlane();
	const closed = await plane.subscribe(scope, "t");
	const open = await plane.subscribe(scope, "t");
	const [gone, there] = [await plane.publish(scope, "t"), await plane.publish(scope, "t")];
	await Promise.all([closed.close(), gone.close()]);
	gone.send("not heard");
	there.send("heard");
	expect((await next(open))?.payload).toBe("heard");
	expect(await next(closed)).toBeUndefined();
	await plane.close();
});
