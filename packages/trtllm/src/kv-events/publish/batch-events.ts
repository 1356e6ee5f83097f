// SPDX-License-Identifier: Apache-2.0
import type { RouterEvent } from "@dyn/protocols/dynamo";

/** Limits of a message, for a broker that takes at most 1 MiB (Dynamo's numbers). */
const MAX_EVENTS = 128;
const MAX_BLOCKS = 8192;

/** Events as messages, in order. An event is never split, however large. */
export function* batchEvents(events: readonly RouterEvent[]): Generator<readonly RouterEvent[]> {
	let batch: RouterEvent[] = [];
	let blocks = 0;
	for (const each of events) {
		const size = blocksOf(each);
		if (batch.length === MAX_EVENTS || (batch.length > 0 && blocks + size > MAX_BLOCKS)) {
			yield batch;
			batch = [];
			blocks = 0;
		}
		batch.push(each);
		blocks += size;
	}
	if (batch.length > 0) yield batch;
}

function blocksOf({ event: { data } }: RouterEvent): number {
	if (data.type === "stored") return data.blocks.length;
	return data.type === "removed" ? data.blockHashes.length : 0;
}
