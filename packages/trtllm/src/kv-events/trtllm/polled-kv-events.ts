// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { DynError, type Logger } from "@dyn/common";
import type { KvEventData } from "@dyn/protocols";
import { parseJson } from "@dyn/protocols/json";
import { decodePolledEvent, type PolledEvent } from "./decode-polled-event.js";
import type { EventTranslator } from "./event-translator.js";
import type { KvEventMetrics } from "./kv-event-metrics.js";

/** Wait after an answer without events, ms: from, to, and how it grows (Dynamo's numbers). */
const MIN_WAIT_MS = 5;
const MAX_WAIT_MS = 20;
const GROWTH = 1.5;
/** Wait after a failure, ms. */
const FAILED_WAIT_MS = 1000;
const REQUEST_TIMEOUT_MS = 10_000;

export interface PolledKvEventsOptions {
	/** The engine's `/kv_cache_events`. Whoever asks takes the events away: nobody else may. */
	readonly url: string;
	/** One per rank, made when a rank is first heard of. */
	readonly createTranslator: () => EventTranslator;
	readonly metrics: KvEventMetrics;
	readonly logger: Logger;
	readonly signal: AbortSignal;
}

interface Rank {
	readonly translator: EventTranslator;
	nextId: number | null;
}

/**
 * KV events of all ranks of a trtllm-serve that speaks HTTP, asked for again and again. What the engine dropped because nobody
 * asked in time is counted. An engine that begins to count anew has an empty cache. Ends when `signal` aborts.
 */
export class PolledKvEvents {
	readonly #options: PolledKvEventsOptions;
	readonly #ranks = new Map<number, Rank>();
	#isReachable = true;
	#hasWarned = false;

	constructor(options: PolledKvEventsOptions) {
		this.#options = options;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<
		{ readonly dpRank: number; readonly data: KvEventData },
		void
	> {
		const { signal, metrics } = this.#options;
		let wait = MIN_WAIT_MS;
		while (!signal.aborted) {
			const events = await this.#poll();
			if (events && events.length > 0) {
				metrics.drained(events.length);
				for (const event of events) yield* this.#event(event);
				wait = MIN_WAIT_MS;
				continue;
			}
			await delay(events ? wait : FAILED_WAIT_MS, undefined, { signal, ref: false }).catch(() => {});
			wait = Math.min(wait * GROWTH, MAX_WAIT_MS);
		}
	}

	/** Null when the engine did not answer. */
	async #poll(): Promise<readonly unknown[] | null> {
		const { url, signal, logger } = this.#options;
		try {
			const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
			const response = await fetch(url, { method: "POST", signal: AbortSignal.any([signal, timeout]) });
			if (!response.ok) throw new DynError("UNAVAILABLE", `${url} answers ${response.status}`);
			const events = parseJson(await response.text());
			if (!Array.isArray(events))
				throw new DynError("INVALID_ARGUMENT", `${url} does not answer with a list`);
			if (!this.#isReachable) logger.info("KV events of the engine can be asked for again", { url });
			this.#isReachable = true;
			return events;
		} catch (error) {
			if (this.#isReachable && !signal.aborted)
				logger.warn("KV events of the engine cannot be asked for; trying on", { url, error });
			this.#isReachable = false;
			return null;
		}
	}

	async *#event(
		value: unknown,
	): AsyncGenerator<{ readonly dpRank: number; readonly data: KvEventData }, void> {
		const { metrics, logger, url } = this.#options;
		let event: PolledEvent;
		try {
			event = decodePolledEvent(value);
		} catch (error) {
			metrics.filtered("invalid");
			if (!this.#hasWarned)
				logger.warn("a KV event makes no sense and is skipped, and so will others be", { url, error });
			this.#hasWarned = true;
			return;
		}
		const { dpRank, eventId } = event;
		let rank = this.#ranks.get(dpRank);
		if (rank && rank.nextId !== null && eventId < rank.nextId) {
			logger.info("the engine counts KV events from the beginning: it was started again", { url, dpRank });
			rank = undefined;
			yield { dpRank, data: { type: "cleared" } };
		}
		if (!rank) {
			rank = { translator: this.#options.createTranslator(), nextId: null };
			this.#ranks.set(dpRank, rank);
		}
		if (rank.nextId !== null && eventId > rank.nextId) {
			metrics.lost(eventId - rank.nextId);
			logger.warn("KV events of the engine are lost: it drops the oldest when nobody asks in time", {
				dpRank,
				events: eventId - rank.nextId,
			});
		}
		rank.nextId = eventId + 1;
		const data = await rank.translator.translate(event);
		if (data) yield { dpRank, data };
	}
}
