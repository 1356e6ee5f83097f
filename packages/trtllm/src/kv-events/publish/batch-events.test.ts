// SPDX-License-Identifier: Apache-2.0
import type { RouterEvent } from "@dyn/protocols/dynamo";
import { expect, it } from "vitest";
import { batchEvents } from "./batch-events.js";

const removing = (blocks: number): RouterEvent => ({
	workerId: 1n,
	event: {
		eventId: 1,
		dpRank: 0,
		data: { type: "removed", blockHashes: Array.from({ length: blocks }, (_, i) => BigInt(i)) },
	},
});
const sizes = (events: readonly RouterEvent[]) => [...batchEvents(events)].map((batch) => batch.length);

it("fills messages up to 128 events or 8192 blocks, and splits no event", () => {
	expect(sizes([])).toEqual([]);
	expect(sizes(new Array(300).fill(removing(1)))).toEqual([128, 128, 44]);
	expect(sizes(new Array(5).fill(removing(4096)))).toEqual([2, 2, 1]);
	expect(sizes([removing(1), removing(10_000), removing(1)])).toEqual([1, 1, 1]);
});
