// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseJson, stringifyJson } from "../json.js";
import { decodeRouterEvent, encodeRouterEvent } from "./index.js";

const recorded = parseJson(
	readFileSync(new URL("__fixtures__/stock-1.6.1-kv-events.json", import.meta.url), "utf8"),
) as unknown[][];

it("reads what stock workers published, and writes it back as it was", () => {
	const events = recorded.flat();
	expect(events.length).toBeGreaterThan(5);
	for (const event of events)
		expect(stringifyJson(encodeRouterEvent(decodeRouterEvent(event)))).toBe(stringifyJson(event));
	const kinds = new Set(events.map((event) => decodeRouterEvent(event).event.data.type));
	expect([...kinds].sort()).toEqual(["removed", "stored"]);
});

it("carries a clear", () => {
	const event = {
		workerId: 2n ** 64n - 1n,
		event: { eventId: 3, dpRank: 1, data: { type: "cleared" as const } },
	};
	expect(decodeRouterEvent(parseJson(stringifyJson(encodeRouterEvent(event))))).toEqual(event);
});

it.each([
	["router_event.worker_id is missing", { event: { event_id: 1, data: "cleared" } }],
	["router_event.worker_id must be a u64", { worker_id: -1, event: { event_id: 1, data: "cleared" } }],
	["router_event.event.data is none of", { worker_id: 1, event: { event_id: 1, data: {} } }],
	["block_hashes.1 must be an integer", removing([1, 1.5])],
	["block_hashes.0 must be a u64", removing([-1])],
	[
		"stored.blocks[0].tokens_hash is missing",
		{ worker_id: 1, event: { event_id: 1, data: { stored: { blocks: [{ block_hash: 1 }] } } } },
	],
])("refuses: %s", (message, data) => {
	expect(() => decodeRouterEvent(data)).toThrow(message);
});

function removing(hashes: number[]) {
	return { worker_id: 1, event: { event_id: 1, data: { removed: { block_hashes: hashes } } } };
}
