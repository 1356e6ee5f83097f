// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { ActiveRequests } from "./active-requests.js";

it("gives attempts that overlap ids of their own, and an id that is free again back", () => {
	const active = new ActiveRequests<number>();
	for (const [index, expected] of ["a", "a-2", "a-3"].entries()) {
		const id = active.freeId("a");
		expect(id).toBe(expected);
		active.add(id, index);
	}
	expect([...active.values()]).toEqual([0, 1, 2]);
	active.remove("a-2");
	expect(active.freeId("a")).toBe("a-2");
	expect(active.freeId("b")).toBe("b");
});

it("is idle once the last one is gone, and at once when there is none", async () => {
	const active = new ActiveRequests<null>();
	await active.idle();
	active.add("a", null);
	active.add("b", null);
	let isIdle = false;
	const idle = active.idle().then(() => {
		isIdle = true;
	});
	active.remove("a");
	await Promise.resolve();
	expect(isIdle).toBe(false);
	active.remove("b");
	await idle;
	expect(active.size).toBe(0);
});
