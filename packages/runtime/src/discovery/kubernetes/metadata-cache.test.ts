// SPDX-License-Identifier: Apache-2.0
import { silentLogger } from "@dyn/common";
import { expect, test } from "vitest";
import { MetadataCache } from "./metadata-cache.js";

const READABLE = { data: { endpoints: { "n/c/e/1": { type: "Endpoint" } } } };
const resource = (spec: unknown, uid = "uid", podUid = "pod-uid") => ({
	metadata: { name: "worker-0", uid, ownerReferences: [{ kind: "Pod", uid: podUid }] },
	spec,
});

const cacheWith = (first: object) => {
	const gone: string[] = [];
	const cache = new MetadataCache(
		() => {},
		(name) => gone.push(name),
		silentLogger,
	);
	cache.replaced([first as never]);
	return { gone, cache, keys: () => [...(cache.workers.get("worker-0")?.entries.keys() ?? [])] };
};

test.each([
	["the same resource of the same pod", resource(null), ["v1/instances/n/c/e/1"]],
	["another resource of that name", resource(null, "other"), []],
	["the same resource of another pod", resource(null, "uid", "other"), []],
])("what cannot be read keeps what was said last, if it is %s", (_, spoilt, expected) => {
	const { cache, keys } = cacheWith(resource(READABLE));
	cache.applied(spoilt);
	expect(keys()).toEqual(expected);
	// However often it is told so, and by a new list too.
	cache.applied(spoilt);
	cache.replaced([spoilt]);
	expect(keys()).toEqual(expected);
});

test("what a deleted resource said is not remembered", () => {
	const { cache, keys, gone } = cacheWith(resource(READABLE));
	cache.deleted(resource(READABLE));
	cache.applied(resource(null));
	expect(keys()).toEqual([]);
	expect(gone).toEqual(["worker-0"]);
});

test("a resource that a new list lacks is gone, one that it has is not", () => {
	const { cache, gone } = cacheWith(resource(READABLE));
	cache.replaced([resource(READABLE)]);
	expect(gone).toEqual([]);
	cache.replaced([]);
	expect(gone).toEqual(["worker-0"]);
});
