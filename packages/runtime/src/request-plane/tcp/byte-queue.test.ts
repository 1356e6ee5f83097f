// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ByteQueue } from "./byte-queue.js";

const queueOf = (...chunks: number[][]): ByteQueue => {
	const queue = new ByteQueue();
	for (const chunk of chunks) queue.push(Buffer.from(chunk));
	return queue;
};

describe("ByteQueue", () => {
	it("reads numbers that lie across chunks, after what was taken", () => {
		const queue = queueOf([9, 1, 2], [], [3], [4, 5]);
		expect([...queue.take(1)!]).toEqual([9]);
		expect(queue.uint32At(0)).toBe(0x01020304);
		expect(queue.byteAt(4)).toBe(5);
		expect(queue.length).toBe(5);
		queue.skip(4);
		expect([...queue.take(1)!]).toEqual([5]);
		expect(queue.length).toBe(0);
	});

	it("has nothing to show before it is there in whole", () => {
		const queue = queueOf([0, 0], [1]);
		expect(queue.uint32At(0)).toBeNull();
		expect(queue.byteAt(3)).toBeNull();
		expect(queue.take(4)).toBeNull();
		queue.push(Buffer.from([2]));
		expect(queue.uint32At(0)).toBe(0x0102);
		expect(queue.length).toBe(4);
	});

	it("gives the same bytes whatever the pieces in which they come and go", () => {
		const all = Array.from({ length: 60 }, (_, i) => i);
		for (let piece = 1; piece < 9; piece++)
			for (let part = 1; part < 9; part++) {
				const queue = new ByteQueue();
				const taken: number[] = [];
				for (let at = 0; at < all.length; at += piece) {
					queue.push(Buffer.from(all.slice(at, at + piece)));
					for (let next = queue.take(part); next; next = queue.take(part)) taken.push(...next);
				}
				taken.push(...queue.take(queue.length)!);
				expect(taken).toEqual(all);
			}
	});
});
