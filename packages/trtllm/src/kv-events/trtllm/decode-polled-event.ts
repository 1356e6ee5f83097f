// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { PlainData } from "@dyn/protocols/dynamo";
import {
	type EngineBlock,
	type EngineEvent,
	type EngineEventData,
	engineHash,
	tokenIds,
} from "./engine-event.js";

/** An event of `POST /kv_cache_events`. */
export interface PolledEvent extends EngineEvent {
	/** Consecutive per rank, over all windows. */
	readonly eventId: number;
	readonly dpRank: number;
}

/**
 * One object of the answer (TensorRT-LLM's `KVCacheEventSerializer`).
 * @param value as `parseJson` gives it: hashes are u64
 * @throws DynError INVALID_ARGUMENT for what is no such object
 */
export function decodePolledEvent(value: unknown): PolledEvent {
	const event = new PlainData(value, "kv_cache_event");
	return {
		eventId: event.required("event_id", event.unsigned("event_id", Number.MAX_SAFE_INTEGER)),
		dpRank: event.unsigned("attention_dp_rank", 0xffff) ?? 0,
		windowSize: event.number("window_size"),
		group: null,
		attentionKind: null,
		// What engines that do not say it have, and all that are not told otherwise.
		hashAlgorithm: event.string("hash_algo") ?? "v1_block_key",
		isOnDevice: true,
		data: decodeData(event.object("data")),
	};
}

function decodeData(data: PlainData): EngineEventData {
	const type = data.string("type");
	switch (type) {
		case "created":
		case "updated":
			return { type };
		case "removed":
			return { type, hashes: hashes(data.required("block_hashes", data.array("block_hashes"))) };
		case "stored": {
			const blocks = data
				.required("blocks", data.array("blocks"))
				.map((block, i) => new PlainData(block, `${data.where}.blocks[${i}]`));
			const salts = new Set(blocks.map((block) => block.string("cache_salt") ?? null));
			if (salts.size > 1)
				throw new DynError("INVALID_ARGUMENT", `${data.where} has blocks of several cache salts`);
			return {
				type,
				parentHash: engineHash(data.raw("parent_hash")),
				blocks: blocks.map(decodeBlock),
				loraName: data.string("lora_name"),
				cacheSalt: data.string("cache_salt") ?? [...salts][0] ?? null,
			};
		}
		default:
			throw new DynError("INVALID_ARGUMENT", `${data.where}.type is ${type}, which is no KV cache event`);
	}
}

function decodeBlock(block: PlainData): EngineBlock {
	const tokens = block.required("tokens", block.array("tokens"));
	const hasMedia = (block.array("mm_keys") ?? []).length > 0;
	return {
		hash: engineHash(block.raw("block_hash")),
		tokens: hasMedia
			? null
			: tokenIds(
					tokens.map((token, i) => new PlainData(token, `${block.where}.tokens[${i}]`).raw("token_id")),
				),
	};
}

const hashes = (values: readonly unknown[]): bigint[] =>
	values.map(engineHash).filter((hash): hash is bigint => hash !== null);
