// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { expect, test } from "vitest";
import type { StoreEvent } from "../key-value-store.js";
import { PrefixView } from "./prefix-view.js";

function drain(view: PrefixView): StoreEvent[] {
	const events: StoreEvent[] = [];
	for (let event = view.next(); event; event = view.next()) events.push(event);
	return events;
}

const put = (key: string, value: string): StoreEvent => ({ type: "put", key, value });
const gone = (key: string): StoreEvent => ({ type: "delete", key });

test("tells a complete list, then synced, once", () => {
	const view = new PrefixView();
	expect(drain(view)).toEqual([]);
	view.replace(new Map([["a", "1"]]));
	expect(drain(view)).toEqual([put("a", "1"), { type: "synced" }]);
	view.replace(new Map([["a", "1"]]));
	expect(drain(view)).toEqual([]);
});

test("tells that nothing is there", () => {
	const view = new PrefixView();
	view.replace(new Map());
	expect(drain(view)).toEqual([{ type: "synced" }]);
});

test("tells the difference between two lists by value", () => {
	const view = new PrefixView();
	view.replace(new Map(Object.entries({ same: "1", changed: "1", gone: "1" })));
	drain(view);
	view.replace(new Map(Object.entries({ same: "1", changed: "2", fresh: "" })));
	expect(drain(view)).toEqual([put("changed", "2"), gone("gone"), put("fresh", "")]);
});

test("tells only what remains of many changes", () => {
	const view = new PrefixView();
	view.replace(new Map([["a", "1"]]));
	drain(view);
	view.set("a", undefined);
	view.set("b", "1");
	view.set("b", undefined);
	view.set("a", "1");
	view.set("c", "1");
	view.set("c", "2");
	view.set("d", undefined);
	expect(drain(view)).toEqual([put("c", "2")]);
});

test("whoever follows has what the server has, however often he listens", () => {
	const key = fc.constantFrom("a", "b", "c");
	const value = fc.constantFrom("1", "2");
	const change = fc.oneof(
		fc.record({ kind: fc.constant("set" as const), key, value: fc.option(value, { nil: undefined }) }),
		fc.record({ kind: fc.constant("list" as const), entries: fc.array(fc.tuple(key, value)) }),
		fc.record({ kind: fc.constant("listen" as const) }),
	);
	fc.assert(
		fc.property(fc.array(change), (changes) => {
			const view = new PrefixView();
			let server = new Map<string, string>();
			const follower = new Map<string, string>();
			const listen = () => {
				for (const event of drain(view)) {
					if (event.type === "put") {
						expect(follower.get(event.key)).not.toBe(event.value);
						follower.set(event.key, event.value);
					}
					if (event.type === "delete") expect(follower.delete(event.key)).toBe(true);
				}
				expect(follower).toEqual(server);
			};
			for (const each of changes) {
				if (each.kind === "listen") listen();
				else if (each.kind === "list") {
					server = new Map(each.entries);
					view.replace(server);
				} else {
					view.set(each.key, each.value);
					if (each.value === undefined) server.delete(each.key);
					else server.set(each.key, each.value);
				}
			}
			listen();
		}),
	);
});
