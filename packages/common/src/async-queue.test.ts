// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, vi } from "vitest";
import { AsyncQueue } from "./async-queue.js";

async function collect<T>(queue: AsyncQueue<T>): Promise<T[]> {
	const items: T[] = [];
	for await (const item of queue) items.push(item);
	return items;
}

describe("AsyncQueue", () => {
	it("delivers in order what was pushed before and after iteration began", async () => {
		const queue = new AsyncQueue<number>();
		queue.push(1);
		const all = collect(queue);
		queue.push(2);
		await Promise.resolve();
		queue.push(3);
		queue.end();
		expect(await all).toEqual([1, 2, 3]);
	});

	it("stays in order over thousands of items and frees what was taken", async () => {
		const queue = new AsyncQueue<number>();
		const iterator = queue[Symbol.asyncIterator]();
		for (let i = 0; i < 5000; i++) {
			queue.push(2 * i);
			queue.push(2 * i + 1);
			expect((await iterator.next()).value).toBe(i);
		}
		expect(queue.size).toBe(5000);
	});

	it("delivers a failure after the items that came before it", async () => {
		const queue = new AsyncQueue<number>();
		queue.push(1);
		queue.fail(new Error("broken"));
		queue.push(2);
		const iterator = queue[Symbol.asyncIterator]();
		expect(await iterator.next()).toEqual({ value: 1, done: false });
		await expect(iterator.next()).rejects.toThrow("broken");
		expect((await iterator.next()).done).toBe(true);
	});

	it("rejects a waiting consumer on failure", async () => {
		const queue = new AsyncQueue<number>();
		const next = queue[Symbol.asyncIterator]().next();
		queue.fail(new Error("broken"));
		await expect(next).rejects.toThrow("broken");
	});

	it("tells the producer once when the consumer leaves early, and drops later pushes", async () => {
		const left = vi.fn();
		const queue = new AsyncQueue<number>(left);
		queue.push(1);
		queue.push(2);
		for await (const _ of queue) break;
		expect(left).toHaveBeenCalledTimes(1);
		queue.push(3);
		expect(queue.size).toBe(0);
		expect(queue.ended).toBe(true);
	});

	it("does not call onReturn after a regular end", async () => {
		const left = vi.fn();
		const queue = new AsyncQueue<number>(left);
		queue.end();
		expect(await collect(queue)).toEqual([]);
		expect(left).not.toHaveBeenCalled();
	});

	it("refuses a second consumer", () => {
		const queue = new AsyncQueue<number>();
		queue[Symbol.asyncIterator]();
		expect(() => queue[Symbol.asyncIterator]()).toThrow(TypeError);
	});
});
