// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, vi } from "vitest";
import { LazyItems } from "./lazy-items.js";

async function* two(ended: () => void): AsyncGenerator<unknown, undefined> {
	try {
		yield 1;
		yield 2;
	} finally {
		ended();
	}
}

describe("LazyItems", () => {
	it("begins once, at the first item", async () => {
		const begin = vi.fn(async () => two(() => {}));
		const items = new LazyItems(begin);
		expect(begin).not.toHaveBeenCalled();
		const results = await Promise.all([items.next(), items.next(), items.next()]);
		expect(results.map(({ value }) => value)).toEqual([1, 2, undefined]);
		expect(begin).toHaveBeenCalledTimes(1);
	});

	it("passes on that the reader leaves", async () => {
		const ended = vi.fn();
		for await (const _ of new LazyItems(async () => two(ended))) break;
		expect(ended).toHaveBeenCalled();
	});

	it("never begins when the reader leaves before", async () => {
		const begin = vi.fn(async () => two(() => {}));
		const items = new LazyItems(begin);
		await items.return();
		expect(await items.next()).toEqual({ value: undefined, done: true });
		expect(begin).not.toHaveBeenCalled();
	});

	it("rejects with what kept it from beginning", async () => {
		const items = new LazyItems(() => Promise.reject(new Error("no way")));
		await expect(items.next()).rejects.toThrow("no way");
		expect(await items.return()).toEqual({ value: undefined, done: true });
	});
});
