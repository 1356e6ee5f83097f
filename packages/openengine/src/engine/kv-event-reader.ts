// SPDX-License-Identifier: Apache-2.0
import { setTimeout } from "node:timers/promises";
import type { KvEvent, KvEventData } from "@dyn/protocols";
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";
import type { OpenEngineClient } from "../client/openengine-client.js";
import { fromEventMessage } from "../kv-event-message.js";

/** Whether its events come over SubscribeKvEvents. */
export async function hasKvEvents(client: OpenEngineClient): Promise<boolean> {
	try {
		const { sources } = await client.getKvEventSources();
		return sources.some(({ transport }) => transport === "grpc");
	} catch {
		// Unimplemented, or not now: routing does without.
		return false;
	}
}

/** Before a subscription that missed something begins anew, ms. */
const RETRY_MS = 1000;

/**
 * What an engine's KV cache holds and every change of it, numbered per rank. After a gap all ranks are cleared and told
 * anew. Ends when the engine ends the stream.
 */
export async function* readKvEvents(
	client: OpenEngineClient,
	dpSize: number,
	signal: AbortSignal,
): AsyncGenerator<KvEvent, void> {
	const nextIds = new Map<number, number>();
	const hashers = new Map<string, Promise<BlockHasher>>();
	const hasherFor = (loraName: string): Promise<BlockHasher> => {
		const known = hashers.get(loraName) ?? createBlockHasher({ loraName });
		hashers.set(loraName, known);
		return known;
	};
	const numbered = (dpRank: number, data: KvEventData): KvEvent => {
		const eventId = nextIds.get(dpRank) ?? 0;
		nextIds.set(dpRank, eventId + 1);
		return { eventId, dpRank, data };
	};
	while ((yield* follow(client, signal, hasherFor, numbered)) === "missed") {
		await setTimeout(RETRY_MS, undefined, { signal, ref: false });
		for (let rank = 0; rank < dpSize; rank++) yield numbered(rank, { type: "cleared" });
	}
}

/** One subscription: "missed" when it has to begin anew. */
async function* follow(
	client: OpenEngineClient,
	signal: AbortSignal,
	hasherFor: (loraName: string) => Promise<BlockHasher>,
	numbered: (dpRank: number, data: KvEventData) => KvEvent,
): AsyncGenerator<KvEvent, "ended" | "missed"> {
	let last: bigint | null = null;
	for await (const { batch, error } of client.subscribeKvEvents({ includeSnapshot: true }, { signal })) {
		if (error) return "missed";
		if (!batch) continue;
		const { sequenceNumber, dataParallelRank, events } = batch;
		// A snapshot has the numbers of the past; no event is skipped after it.
		if (last !== null && sequenceNumber > last + 1n) return "missed";
		last = last === null || sequenceNumber > last ? sequenceNumber : last;
		for (const event of events) {
			const data = fromEventMessage(event, await hasherFor(event.blockStored?.loraName ?? ""));
			if (data) yield numbered(dataParallelRank, data);
		}
	}
	return "ended";
}
