// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { BoundedEventQueue } from "./bounded-event-queue.js";
import type { ReceivedEvent } from "./event-plane.js";

const event = (sequence: number, { publisherId = 1n, missed = 0n } = {}): ReceivedEvent => ({
	publisherId,
	sequence: BigInt(sequence),
	missed,
	publishedAtMs: 0,
	payload: sequence,
});

/** Events as `sequence` or `sequence(missed)`. */
async function take(queue: BoundedEventQueue, count: number): Promise<string[]> {
	const events = queue[Symbol.asyncIterator]();
	const taken: string[] = [];
	while (taken.length < count) {
		const { sequence, missed } = (await events.next()).value!;
		taken.push(missed ? `${sequence}(${missed})` : `${sequence}`);
	}
	return taken;
}

it("passes events on in order, those that wait and those that come while one waits for them", async () => {
	const queue = new BoundedEventQueue();
	queue.push(event(0));
	const reading = take(queue, 3);
	queue.push(event(1));
	setImmediate(() => queue.push(event(2)));
	expect(await reading).toEqual(["0", "1", "2"]);
	expect(queue.dropped).toBe(0);
});

it("drops the oldest, counts it, and tells the publisher's next event", async () => {
	let told = 0;
	const queue = new BoundedEventQueue(
		3,
		() => {},
		() => told++,
	);
	for (const each of [event(0, { publisherId: 2n }), event(0), event(1, { missed: 4n }), event(7)])
		queue.push(each);
	queue.push(event(8));
	queue.push(event(1, { publisherId: 2n }));
	// Of publisher 2 one is gone; of publisher 1 two, and the four that were missing before them.
	expect(queue.dropped).toBe(3);
	expect(told).toBe(3);
	expect(await take(queue, 3)).toEqual(["7(6)", "8", "1(1)"]);
});

it("stays within its bound however much comes", async () => {
	const queue = new BoundedEventQueue(1000);
	for (let i = 0; i < 100_000; i++) queue.push(event(i));
	expect(queue.dropped).toBe(99_000);
	const taken = await take(queue, 1000);
	expect([taken[0], taken.at(-1)]).toEqual(["99000(99000)", "99999"]);
});

it("ends for a reader who waits, and says so once", async () => {
	let closed = 0;
	const queue = new BoundedEventQueue(undefined, () => closed++);
	const next = queue[Symbol.asyncIterator]().next();
	await Promise.all([queue.close(), queue.close()]);
	expect((await next).done).toBe(true);
	expect(closed).toBe(1);
	queue.push(event(0));
	for await (const _ of queue) expect.unreachable();
});

it("closes when its reader leaves", async () => {
	let closed = 0;
	const queue = new BoundedEventQueue(undefined, () => closed++);
	queue.push(event(0));
	queue.push(event(1));
	for await (const { sequence } of queue) {
		expect(sequence).toBe(0n);
		break;
	}
	expect(closed).toBe(1);
});
