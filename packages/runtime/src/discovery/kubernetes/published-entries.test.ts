// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { PublishedEntries } from "./published-entries.js";

const entries = (values: Record<string, string>) => new Map(Object.entries(values));

test("what is present, then that this was all, then differences by value", async () => {
	const published = new PublishedEntries();
	const events = published.watch("a/", new AbortController().signal)[Symbol.asyncIterator]();
	const first = events.next();
	published.replace(entries({ "a/1": "x", "b/1": "y" }));
	expect((await first).value).toEqual({ type: "put", key: "a/1", value: "x" });
	expect((await events.next()).value).toEqual({ type: "synced" });
	published.replace(entries({ "a/1": "x", "a/2": "z" }));
	expect((await events.next()).value).toEqual({ type: "put", key: "a/2", value: "z" });
	published.replace(entries({ "a/2": "z" }));
	expect((await events.next()).value).toEqual({ type: "delete", key: "a/1" });
});

test("a reader that does not read holds up one value per key, the newest", async () => {
	const published = new PublishedEntries();
	published.replace(new Map());
	const events = published.watch("", new AbortController().signal)[Symbol.asyncIterator]();
	expect((await events.next()).value).toEqual({ type: "synced" });
	for (let i = 0; i < 1000; i++) published.replace(entries({ a: String(i), [`short-lived-${i}`]: "x" }));
	published.replace(entries({ a: "last" }));
	expect((await events.next()).value).toEqual({ type: "put", key: "a", value: "last" });
	const next = events.next();
	published.replace(entries({ a: "newer" }));
	expect((await next).value).toEqual({ type: "put", key: "a", value: "newer" });
});

test("a watch ends with its signal, when its reader leaves, and when the store closes", async () => {
	const published = new PublishedEntries();
	published.replace(new Map());
	const abort = new AbortController();
	const aborted = published.watch("", abort.signal)[Symbol.asyncIterator]();
	await aborted.next();
	const end = aborted.next();
	abort.abort();
	expect((await end).done).toBe(true);
	for await (const event of published.watch("", new AbortController().signal)) {
		expect(event).toEqual({ type: "synced" });
		break;
	}
	const open = published.watch("", new AbortController().signal)[Symbol.asyncIterator]();
	await open.next();
	published.close();
	expect((await open.next()).done).toBe(true);
	expect((await published.watch("", abort.signal)[Symbol.asyncIterator]().next()).done).toBe(true);
});
