// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { KvEvent, KvEventData, StoredBlock } from "../kv-event.js";
import { PlainData } from "./plain-data.js";

/** A change of one worker's KV cache, as routers hear of it. */
export interface RouterEvent {
	readonly workerId: bigint;
	readonly event: KvEvent;
}

/** As Dynamo's `RouterEvent`; the payload of topic `kv-events` is a list of these. All hashes are u64. */
export function encodeRouterEvent({ workerId, event }: RouterEvent): Record<string, unknown> {
	return {
		worker_id: workerId,
		storage_tier: "device",
		residency_domain: "worker",
		event: { event_id: event.eventId, data: encodeData(event.data), dp_rank: event.dpRank },
	};
}

function encodeData(data: KvEventData): unknown {
	switch (data.type) {
		case "stored":
			return {
				stored: {
					parent_hash: data.parentHash,
					start_position: null,
					blocks: data.blocks.map(({ blockHash, tokensHash }) => ({
						block_hash: blockHash,
						tokens_hash: tokensHash,
						mm_extra_info: null,
					})),
				},
			};
		case "removed":
			return { removed: { block_hashes: data.blockHashes } };
		case "cleared":
			return "cleared";
	}
}

/** @throws DynError INVALID_ARGUMENT naming the field that has a wrong type or is missing */
export function decodeRouterEvent(data: unknown): RouterEvent {
	const fields = new PlainData(data, "router_event");
	const event = fields.object("event");
	return {
		workerId: u64(fields, "worker_id"),
		event: {
			eventId: Number(u64(event, "event_id")),
			dpRank: event.unsigned("dp_rank", 0xffff_ffff) ?? 0,
			data: decodeData(event),
		},
	};
}

function decodeData(event: PlainData): KvEventData {
	if (event.raw("data") === "cleared") return { type: "cleared" };
	const data = event.object("data");
	if (data.has("removed")) {
		const removed = data.object("removed");
		return { type: "removed", blockHashes: hashes(removed, "block_hashes") };
	}
	if (!data.has("stored"))
		throw new DynError("INVALID_ARGUMENT", `${data.where} is none of stored, removed, cleared`);
	const stored = data.object("stored");
	const blocks = stored.required("blocks", stored.array("blocks"));
	return {
		type: "stored",
		parentHash: stored.has("parent_hash") ? u64(stored, "parent_hash") : null,
		blocks: blocks.map((each, i): StoredBlock => {
			const block = new PlainData(each, `${stored.where}.blocks[${i}]`);
			return { blockHash: u64(block, "block_hash"), tokensHash: u64(block, "tokens_hash") };
		}),
	};
}

function hashes(data: PlainData, name: string): readonly bigint[] {
	const values = data.required(name, data.array(name));
	return values.map((value, i) => u64(new PlainData({ [i]: value }, `${data.where}.${name}`), String(i)));
}

function u64(data: PlainData, name: string): bigint {
	const value = data.required(name, data.integer(name));
	if (BigInt.asUintN(64, value) !== value)
		throw new DynError("INVALID_ARGUMENT", `${data.where}.${name} must be a u64, got ${value}`);
	return value;
}
