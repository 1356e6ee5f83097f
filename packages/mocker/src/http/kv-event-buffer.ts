// SPDX-License-Identifier: Apache-2.0
import type { MockerEngine } from "../engine/mocker-engine.js";
import { type TrtllmKvEvent, trtllmKvEvents } from "../kv-events/trtllm-events.js";

/** Events that are kept for whoever polls; TensorRT-LLM's `event_buffer_max_size`. */
const KEPT = 16_384;

/** What `POST /kv_cache_events` gives away; it begins to listen when it is made. */
export class KvEventBuffer {
	readonly #events: object[] = [];
	/** Per rank. */
	readonly #nextIds = new Map<number, number>();

	/** @param engine with `remembersTokens` */
	constructor(engine: MockerEngine) {
		void (async () => {
			for await (const { dpRank, event } of trtllmKvEvents(engine)) this.#add(dpRank, event);
		})();
	}

	drain(): readonly object[] {
		return this.#events.splice(0);
	}

	#add(dpRank: number, event: TrtllmKvEvent): void {
		const data = toJson(event);
		if (!data) return;
		const eventId = this.#nextIds.get(dpRank) ?? 0;
		this.#nextIds.set(dpRank, eventId + 1);
		this.#events.push({ event_id: eventId, data, window_size: 1 << 20, attention_dp_rank: dpRank });
		if (this.#events.length > KEPT) this.#events.shift();
	}
}

/** TensorRT-LLM's serialiser knows no event for an empty cache. */
function toJson(event: TrtllmKvEvent): object | null {
	if (event.type === "cleared") return null;
	if (event.type === "removed") return { type: "removed", block_hashes: event.hashes };
	return {
		type: "stored",
		parent_hash: event.parentHash,
		blocks: event.blocks.map(({ hash, tokens }) => ({
			type: "stored_block",
			block_hash: hash,
			tokens: Array.from(tokens, (id) => ({ type: "unique_token", token_id: id, token_extra_id: 0 })),
			cache_level: 0,
			priority: 35,
		})),
	};
}
