// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { PlainData } from "@dyn/protocols/dynamo";
import { decodeMsgpack } from "@dyn/protocols/msgpack";
import {
	type EngineBlock,
	type EngineEvent,
	type EngineEventData,
	engineHash,
	tokenIds,
} from "./engine-event.js";

// vLLM's KV event wire, which TensorRT-LLM's own publisher speaks: MessagePack of [time, [event, …], data-parallel rank],
// an event being a map with a `type` or an array that begins with it. A socket has one rank, so the rank is not read.

export interface StreamedBatch {
	readonly events: readonly EngineEvent[];
	/** Events that were none. */
	readonly invalid: number;
}

/** Names of the elements of events that are arrays; those behind are found by their types. */
const STORED = [
	"type",
	"block_hashes",
	"parent_block_hash",
	"token_ids",
	"block_size",
	"lora_id",
	"medium",
	"lora_name",
	"extra_keys",
];
const REMOVED = ["type", "block_hashes", "medium"];
const CLEARED = ["type"];

/** Storage that is not a device's, by vLLM's and SGLang's names. */
const BELOW_DEVICE = /^(?:CPU|DISK|NVME|STORAGE|EXTERNAL|NETWORK|REMOTE|SHARED)/i;

/** vLLM puts the salt of a request among the keys of its first block, behind this. */
const SALT = "dynamo-cache-salt:";

/** @throws DynError INVALID_ARGUMENT, RangeError: what is no batch; an event in it that is none is only counted */
export function decodeStreamedBatch(payload: Uint8Array): StreamedBatch {
	const batch = decodeMsgpack(payload);
	if (!Array.isArray(batch) || !Array.isArray(batch[1]))
		throw new DynError("INVALID_ARGUMENT", "a batch of KV events is no [time, events, rank]");
	const events: EngineEvent[] = [];
	let invalid = 0;
	for (const each of batch[1] as readonly unknown[]) {
		try {
			events.push(decodeEvent(named(each)));
		} catch {
			invalid++;
		}
	}
	return { events, invalid };
}

/** An event as a map, whichever form it came in. */
function named(event: unknown): PlainData {
	if (!Array.isArray(event)) return new PlainData(event, "kv_event");
	const names = event[0] === "BlockStored" ? STORED : event[0] === "BlockRemoved" ? REMOVED : CLEARED;
	const fields: Record<string, unknown> = {};
	names.forEach((name, i) => {
		fields[name] = event[i] ?? null;
	});
	const tail = event.slice(names.length) as readonly unknown[];
	const [group, window] = tail.filter((each) => typeof each === "number");
	const texts = tail.filter((each): each is string => typeof each === "string");
	fields["group_idx"] = group ?? null;
	fields["kv_cache_spec_sliding_window"] = window ?? null;
	fields["locality"] = texts.find((text) => /^(?:LOCAL|REMOTE)$/i.test(text)) ?? null;
	fields["kv_cache_spec_kind"] =
		texts.find((text) => /^[a-z_]*(?:attention|mamba|local)[a-z_]*$/.test(text)) ?? null;
	return new PlainData(fields, "kv_event");
}

function decodeEvent(event: PlainData): EngineEvent {
	const medium = event.string("medium") ?? "GPU";
	const locality = event.string("locality") ?? "LOCAL";
	return {
		windowSize: event.number("kv_cache_spec_sliding_window"),
		group: event.number("group_idx"),
		attentionKind: event.string("kv_cache_spec_kind"),
		// Radix keys of its own, cut to 64 bits: nothing to check them against.
		hashAlgorithm: "v2_sha256_64",
		isOnDevice: !BELOW_DEVICE.test(medium) && /^LOCAL$/i.test(locality),
		data: decodeData(event),
	};
}

function decodeData(event: PlainData): EngineEventData {
	const type = event.string("type");
	switch (type) {
		case "AllBlocksCleared":
			return { type: "cleared" };
		case "BlockRemoved":
			return { type: "removed", hashes: hashesOf(event) };
		case "BlockStored":
			return {
				type: "stored",
				parentHash: engineHash(event.raw("parent_block_hash")),
				blocks: blocksOf(event),
				loraName: event.string("lora_name"),
				cacheSalt: event.string("cache_salt") ?? saltOf(event.array("extra_keys")),
			};
		default:
			throw new DynError("INVALID_ARGUMENT", `${type} is no KV event`);
	}
}

/** The tokens of all blocks come in one row. */
function blocksOf(event: PlainData): readonly EngineBlock[] {
	const row = event.required("token_ids", event.array("token_ids"));
	const size = event.required("block_size", event.unsigned("block_size", 1 << 20));
	const extraKeys = event.array("extra_keys");
	return hashesOf(event).map((hash, i) => ({
		hash,
		tokens: isPlain(extraKeys?.[i]) ? tokenIds(row.slice(i * size, (i + 1) * size)) : null,
	}));
}

function hashesOf(event: PlainData): readonly bigint[] {
	return event.required("block_hashes", event.array("block_hashes")).map((value) => {
		const hash = engineHash(value);
		if (hash === null)
			throw new DynError("INVALID_ARGUMENT", `${event.where}.block_hashes has what is no hash`);
		return hash;
	});
}

const textsOf = (keys: unknown): readonly string[] =>
	(Array.isArray(keys) ? keys.flat() : []).filter((each): each is string => typeof each === "string");

/** Whether the keys of a block name no media, which are 64 hex digits each. */
const isPlain = (keys: unknown): boolean => !textsOf(keys).some((text) => /^[0-9a-f]{64}$/i.test(text));

function saltOf(extraKeys: readonly unknown[] | null): string | null {
	const salt = textsOf(extraKeys?.[0]).find((text) => text.startsWith(SALT));
	return salt?.slice(SALT.length) || null;
}
