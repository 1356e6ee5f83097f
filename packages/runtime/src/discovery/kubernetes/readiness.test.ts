// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { metadataName, readyInPod, readyInSlice } from "./readiness.js";
import { ReadinessIndex } from "./readiness-index.js";

const endpoint = (name: string, ready: unknown) => ({
	conditions: { ready },
	targetRef: { kind: "Pod", name, uid: `uid-${name}` },
});

test("a slice's ready pods, whatever is missing or null in it", () => {
	const endpoints = [
		endpoint("a", true),
		endpoint("b", false),
		endpoint("c", null),
		{ conditions: null, targetRef: null },
		{ conditions: { ready: true }, targetRef: null },
		{ conditions: { ready: true }, targetRef: { name: "d" } },
		null,
	];
	expect(readyInSlice({ endpoints })).toEqual([
		{ resource: "a", podUid: "uid-a" },
		{ resource: "d", podUid: null },
	]);
	expect(readyInSlice({ endpoints: null })).toEqual([]);
});

test("a pod's ready containers, the main one by the pod's name", () => {
	const pod = (metadata: object) => ({
		metadata: { name: "p", uid: "u", ...metadata },
		status: {
			containerStatuses: [
				{ name: "main", ready: true },
				{ name: "e", ready: true },
				{ name: "f", ready: false },
			],
		},
	});
	const names = (metadata: object) => readyInPod(pod(metadata)).map(({ resource }) => resource);
	expect(names({ annotations: null })).toEqual(["p", "p-e"]);
	expect(names({ annotations: { "nvidia.com/dynamo-main-container-name": " e " } })).toEqual(["p-main", "p"]);
	expect(names({ deletionTimestamp: "2026-01-01T00:00:00Z" })).toEqual([]);
	expect(readyInPod({ metadata: { name: "p" }, status: { containerStatuses: null } })).toEqual([]);
	expect(metadataName("p", null, "e")).toBe("p");
});

test("a pod in two slices is ready until both say otherwise", () => {
	let changes = 0;
	const index = new ReadinessIndex(readyInSlice, () => changes++);
	const slice = (name: string, ready: boolean) => ({ metadata: { name }, endpoints: [endpoint("a", ready)] });
	expect(index.listed).toBe(false);
	index.replaced([slice("s1", true), slice("s2", true)]);
	expect(index.listed).toBe(true);
	index.applied(slice("s1", false));
	expect(index.workers).toEqual([{ resource: "a", podUid: "uid-a" }]);
	index.deleted(slice("s2", true));
	expect(index.workers).toEqual([]);
	expect(changes).toBe(3);
});
