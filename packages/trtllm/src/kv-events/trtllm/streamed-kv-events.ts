// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { KvEventData } from "@dyn/protocols";
import type { Zmq } from "@dyn/runtime/zmq";
import { decodeStreamedBatch } from "./decode-streamed-batch.js";
import type { EventTranslator } from "./event-translator.js";
import type { KvEventMetrics } from "./kv-event-metrics.js";
import { requestReplay } from "./request-replay.js";

/** Batches that wait to be read; the engine's side drops what comes on top. */
const HIGH_WATER_MARK = 100_000;
const MAX_MESSAGE_BYTES = 64 * 2 ** 20;

export interface StreamedKvEventsOptions {
	readonly zmq: Zmq;
	/** Where the engine's rank publishes, such as tcp://127.0.0.1:5557. */
	readonly endpoint: string;
	/** Where it replays; null when it does not. */
	readonly replayEndpoint: string | null;
	/** Default "": all. */
	readonly topic: string;
	/** Another one per stream. */
	readonly translator: EventTranslator;
	readonly metrics: KvEventMetrics;
	readonly logger: Logger;
	readonly signal: AbortSignal;
}

/**
 * KV events that one rank of an engine publishes over ZeroMQ, in order. What is missing is asked for again; what stays
 * missing is counted. An engine that begins to count anew has an empty cache. Ends when `signal` aborts.
 */
export class StreamedKvEvents implements AsyncIterable<KvEventData> {
	readonly #options: StreamedKvEventsOptions;
	/** Sequence of the batch that should be next; null before the first. */
	#next: bigint | null = null;
	#invalid = 0;

	constructor(options: StreamedKvEventsOptions) {
		this.#options = options;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<KvEventData, void> {
		const { zmq, endpoint, topic, signal } = this.#options;
		if (signal.aborted) return;
		const socket = new zmq.Subscriber({
			receiveHighWaterMark: HIGH_WATER_MARK,
			maxMessageSize: MAX_MESSAGE_BYTES,
			linger: 0,
			ipv6: endpoint.includes("["),
		});
		const close = () => socket.close();
		signal.addEventListener("abort", close, { once: true });
		try {
			socket.connect(endpoint);
			socket.subscribe(topic);
			for await (const frames of socket) {
				const [, sequence, payload] = frames;
				if (frames.length === 3 && sequence?.length === 8)
					yield* this.#batch(sequence.readBigUInt64BE(), payload!);
				else
					this.#skip(new DynError("INVALID_ARGUMENT", `${frames.length} frames are no batch of KV events`));
			}
		} catch (error) {
			if (!signal.aborted) throw error;
		} finally {
			signal.removeEventListener("abort", close);
			socket.close();
		}
	}

	async *#batch(sequence: bigint, payload: Uint8Array): AsyncGenerator<KvEventData, void> {
		const { logger, endpoint, translator } = this.#options;
		if (this.#next !== null && sequence < this.#next) {
			logger.info("the engine publishes KV events from the beginning: it was started again", { endpoint });
			this.#next = 0n;
			const cleared = await translator.translate(CLEARED);
			if (cleared) yield cleared;
		}
		const expected = this.#next ?? 0n;
		if (sequence > expected) yield* this.#repair(expected, sequence);
		this.#next = sequence + 1n;
		yield* this.#events(payload);
	}

	/** Batches `from` .. `to` - 1. Those from before this began to listen count as lost only when they can be had. */
	async *#repair(from: bigint, to: bigint): AsyncGenerator<KvEventData, void> {
		const { zmq, replayEndpoint, metrics, logger, signal, endpoint } = this.#options;
		let missing = to - from;
		if (replayEndpoint !== null) {
			try {
				for await (const { sequence, payload } of requestReplay(zmq, replayEndpoint, from, signal)) {
					if (sequence < from) continue;
					if (sequence >= to) break;
					from = sequence + 1n;
					missing--;
					yield* this.#events(payload);
				}
			} catch (error) {
				if (!signal.aborted) logger.warn("missed KV events cannot be asked for", { endpoint, error });
			}
		}
		if (missing === 0n || this.#next === null) return;
		metrics.lost(Number(missing));
		logger.warn("KV events of the engine are lost: routers may take its cache for more or less than it is", {
			endpoint,
			batches: missing,
		});
	}

	async *#events(payload: Uint8Array): AsyncGenerator<KvEventData, void> {
		const { translator, metrics } = this.#options;
		let batch: ReturnType<typeof decodeStreamedBatch>;
		try {
			batch = decodeStreamedBatch(payload);
		} catch (error) {
			this.#skip(error);
			return;
		}
		metrics.drained(batch.events.length);
		if (batch.invalid > 0)
			this.#skip(new DynError("INVALID_ARGUMENT", `${batch.invalid} of a batch's KV events are none`));
		for (const event of batch.events) {
			const data = await translator.translate(event);
			if (data) yield data;
		}
	}

	/** Says it once: an engine that speaks another language would say it for ever. */
	#skip(error: unknown): void {
		this.#options.metrics.filtered("invalid");
		if (this.#invalid++ === 0)
			this.#options.logger.warn("a message is no KV events and is skipped, and so will others be", {
				endpoint: this.#options.endpoint,
				error,
			});
	}
}

const CLEARED = {
	windowSize: null,
	group: null,
	attentionKind: null,
	hashAlgorithm: null,
	isOnDevice: true,
	data: { type: "cleared" },
} as const;
