// SPDX-License-Identifier: Apache-2.0
import type { KvEvent, KvEventData } from "@dyn/protocols";
import type { KvQuery, KvQueryAnswer, RouterEvent } from "@dyn/protocols/dynamo";
import { StoredBlocks } from "./stored-blocks.js";

/** Events that are kept for routers that missed some (Dynamo's number). */
const KEPT_EVENTS = 1024;

/** One rank's events as routers count them: from 1, without gaps; and the answers to those who missed some. */
export class EventLog {
	readonly #workerId: bigint;
	readonly #dpRank: number;
	readonly #stored = new StoredBlocks();
	/** The event of id `i` is at `i % KEPT_EVENTS`. */
	readonly #recent: KvEvent[] = [];
	#lastId = 0;

	constructor(workerId: bigint, dpRank: number) {
		this.#workerId = workerId;
		this.#dpRank = dpRank;
	}

	/** Blocks that are stored now. */
	get blocks(): number {
		return this.#stored.size;
	}

	/** Numbers a change. Null when routers need not hear of it; it takes no number then. */
	append(change: KvEventData): RouterEvent | null {
		const data = this.#stored.apply(change);
		if (!data) return null;
		const event = { eventId: ++this.#lastId, dpRank: this.#dpRank, data };
		this.#recent[event.eventId % KEPT_EVENTS] = event;
		return this.#addressed(event);
	}

	/** Recent events when all that were asked for are there, else everything that is stored. */
	answer({ workerId, dpRank, startEventId, endEventId }: KvQuery): KvQueryAnswer {
		if ((workerId !== null && workerId !== this.#workerId) || dpRank !== this.#dpRank)
			return { type: "error", message: `this is rank ${this.#dpRank} of worker ${this.#workerId}` };
		if (startEventId === null) return this.#dump();
		if (endEventId !== null && endEventId < startEventId)
			return { type: "invalid_range", startEventId, endEventId };
		const newest = this.#lastId;
		if (newest === 0) return this.#dump();
		if (startEventId > newest)
			return { type: "too_new", startEventId, endEventId: endEventId ?? newest, newest };
		if (startEventId < Math.max(1, newest - KEPT_EVENTS + 1)) return this.#dump();
		const events: RouterEvent[] = [];
		for (let id = startEventId; id <= newest; id++)
			events.push(this.#addressed(this.#recent[id % KEPT_EVENTS]!));
		return { type: "events", events, lastEventId: newest };
	}

	#dump(): KvQueryAnswer {
		const events = Array.from(this.#stored.dump(), (data, eventId) =>
			this.#addressed({ eventId, dpRank: this.#dpRank, data }),
		);
		return { type: "dump", events, lastEventId: this.#lastId };
	}

	#addressed(event: KvEvent): RouterEvent {
		return { workerId: this.#workerId, event };
	}
}
