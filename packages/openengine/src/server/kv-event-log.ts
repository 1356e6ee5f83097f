// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, DynError, invalidArgument } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";
import * as m from "../generated/messages.js";
import { GrpcStatus } from "../grpc/status.js";
import { toEventMessage } from "../kv-event-message.js";
import type { MessageInit } from "../message-init.js";

/** Batches kept for replay, and batches a subscriber may be behind. */
const KEPT = 4096;

type Batch = MessageInit<m.KvEventBatch> & {
	readonly sequenceNumber: bigint;
	readonly dataParallelRank: number;
};
type Response = MessageInit<m.SubscribeKvEventsResponse>;

interface Subscriber {
	readonly ranks: readonly number[];
	readonly queue: AsyncQueue<Response>;
}

/** The only reader of an engine's KV events: numbers them from 1, keeps the last ones and what they add up to. */
export class KvEventLog {
	readonly #info: EngineInfo;
	readonly #kept: Batch[] = [];
	/** Per rank and block: the event that stored it, in the order of storing, so that parents come first. */
	readonly #stored = new Map<string, Batch>();
	readonly #subscribers = new Set<Subscriber>();
	#last = 0n;
	#ended = false;

	constructor(engine: Engine, info: EngineInfo) {
		this.#info = info;
		this.#read(engine).catch((error) => this.#fail(DynError.from(error)));
	}

	/**
	 * @throws DynError INVALID_ARGUMENT for an unknown rank; with status OUT_OF_RANGE when the replay is no longer possible
	 */
	async *subscribe(request: m.SubscribeKvEventsRequest, signal: AbortSignal): AsyncIterable<Response> {
		const { dataParallelRanks: ranks, includeSnapshot, startSequenceNumber: start } = request;
		const strange = ranks.find((rank) => rank >= this.#info.dpSize);
		if (strange !== undefined)
			throw invalidArgument(
				"data_parallel_ranks",
				`there is no rank ${strange}; ranks are 0 to ${this.#info.dpSize - 1}`,
			);
		const oldest = this.#kept[0]?.sequenceNumber ?? this.#last + 1n;
		if (start > 0n && (start < oldest || start > this.#last + 1n))
			throw new DynError(
				"INVALID_ARGUMENT",
				`events are kept from ${oldest} to ${this.#last} and ${start} was asked for; ask for a snapshot`,
				{ details: { param: "start_sequence_number", grpcStatus: GrpcStatus.OUT_OF_RANGE } },
			);
		const queue = new AsyncQueue<Response>();
		const subscriber: Subscriber = { ranks, queue };
		const first = includeSnapshot
			? this.#snapshot()
			: start > 0n
				? this.#kept.filter(({ sequenceNumber }) => sequenceNumber >= start)
				: [];
		if (this.#ended) queue.end();
		const leave = () => queue.end();
		signal.addEventListener("abort", leave, { once: true });
		if (signal.aborted) leave();
		this.#subscribers.add(subscriber);
		try {
			// Beside the queue, which has room for what comes meanwhile.
			for (const batch of first) if (concerns(ranks, batch)) yield { batch };
			yield* queue;
		} finally {
			signal.removeEventListener("abort", leave);
			this.#subscribers.delete(subscriber);
		}
	}

	/** What is stored now. All of it has the number of the last event: the next one follows. */
	#snapshot(): readonly Batch[] {
		const batches = [...new Set(this.#stored.values())];
		return batches.map((batch) => ({ ...batch, sequenceNumber: this.#last }));
	}

	async #read(engine: Engine): Promise<void> {
		for await (const event of engine.kvEvents()) this.#add(event);
		this.#ended = true;
		for (const { queue } of this.#subscribers) queue.end();
	}

	#add({ dpRank, data }: KvEvent): void {
		const batch: Batch = {
			sequenceNumber: ++this.#last,
			timestampUnixNanos: BigInt(Date.now()) * 1_000_000n,
			dataParallelRank: dpRank,
			events: [toEventMessage(data, this.#info.kvBlockSize)],
		};
		this.#kept.push(batch);
		// In pieces: shifting one by one would move thousands each time.
		if (this.#kept.length > 2 * KEPT) this.#kept.splice(0, KEPT);
		const prefix = `${dpRank}:`;
		if (data.type === "stored")
			for (const { blockHash } of data.blocks) this.#stored.set(prefix + blockHash, batch);
		else if (data.type === "removed") for (const hash of data.blockHashes) this.#stored.delete(prefix + hash);
		else for (const key of [...this.#stored.keys()]) if (key.startsWith(prefix)) this.#stored.delete(key);
		for (const subscriber of this.#subscribers) {
			if (!concerns(subscriber.ranks, batch)) continue;
			if (subscriber.queue.size < KEPT) subscriber.queue.push({ batch });
			else fail(subscriber, m.ErrorCode.OVERLOADED, `the subscriber is ${KEPT} batches behind`, true);
		}
	}

	#fail(error: DynError): void {
		this.#ended = true;
		for (const subscriber of this.#subscribers)
			fail(subscriber, m.ErrorCode.INTERNAL, error.rawMessage, error.retryable);
	}
}

function concerns(ranks: readonly number[], { dataParallelRank }: Batch): boolean {
	return ranks.length === 0 || ranks.includes(dataParallelRank);
}

/** An accepted subscription fails with a last response, not with a status. */
function fail({ queue }: Subscriber, code: m.ErrorCode, message: string, retryable: boolean): void {
	queue.push({ error: { code, message, retryable } });
	queue.end();
}
