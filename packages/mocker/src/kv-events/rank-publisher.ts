// SPDX-License-Identifier: Apache-2.0
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import type { Zmq } from "@dyn/runtime/zmq";
import type { TrtllmKvEvent } from "./trtllm-events.js";

/** Ends a replay. */
const END = -1n;

type Publisher = InstanceType<Zmq["Publisher"]>;
type Router = InstanceType<Zmq["Router"]>;

/**
 * One rank's sockets: batches go out as vLLM's publisher sends them, [topic, sequence, MessagePack], and the last ones are
 * sent again to who asks. What goes wrong on the way is told here.
 */
export class RankPublisher {
	readonly endpoint: string;
	readonly replayEndpoint: string;
	readonly #publisher: Publisher;
	readonly #router: Router;
	readonly #topic: string;
	readonly #dpRank: number;
	readonly #bufferSteps: number;
	/** By sequence, the latest last. */
	readonly #kept = new Map<bigint, Uint8Array>();
	#next = 0n;
	/** Batches that are yet to be lost. */
	#losing = 0;
	#keepsLost = true;
	/** A socket takes one message at a time. */
	#sending: Promise<void> = Promise.resolve();
	readonly #replaying: Promise<void>;

	private constructor(
		publisher: Publisher,
		router: Router,
		topic: string,
		dpRank: number,
		bufferSteps: number,
	) {
		this.endpoint = publisher.lastEndpoint!;
		this.replayEndpoint = router.lastEndpoint!;
		this.#publisher = publisher;
		this.#router = router;
		this.#topic = topic;
		this.#dpRank = dpRank;
		this.#bufferSteps = bufferSteps;
		this.#replaying = this.#replay().catch(() => {}); // the socket was closed
	}

	/** @param port of the events; 0 = any free one. Replays come from any free one. */
	static async open(
		zmq: Zmq,
		{
			host,
			port,
			topic,
			dpRank,
			bufferSteps,
		}: { host: string; port: number; topic: string; dpRank: number; bufferSteps: number },
	): Promise<RankPublisher> {
		const publisher = new zmq.Publisher({ linger: 0 });
		const router = new zmq.Router({ linger: 0 });
		try {
			await publisher.bind(`tcp://${host}:${port === 0 ? "*" : port}`);
			await router.bind(`tcp://${host}:*`);
		} catch (error) {
			publisher.close();
			router.close();
			throw error;
		}
		return new RankPublisher(publisher, router, topic, dpRank, bufferSteps);
	}

	/** Sends a batch, unless it is to be lost. */
	publish(events: readonly TrtllmKvEvent[]): Promise<void> {
		const sequence = this.#next++;
		const isLost = this.#losing > 0;
		if (isLost) this.#losing--;
		const payload = encodeMsgpack([Date.now() / 1000, events.map(toWire), this.#dpRank]);
		if (!isLost || this.#keepsLost) this.#keep(sequence, payload);
		if (!isLost)
			this.#sending = this.#sending
				.then(() => this.#publisher.send([this.#topic, bigEndian(sequence), Buffer.from(payload)]))
				.catch(() => {}); // the socket was closed
		return this.#sending;
	}

	/** The next batches do not arrive. Unless `forgotten`, they can still be asked for. */
	lose(batches: number, { forgotten = false }: { readonly forgotten?: boolean } = {}): void {
		this.#losing = batches;
		this.#keepsLost = !forgotten;
	}

	/** As when the engine starts again: sequences begin at 0, nothing of before is kept. */
	reset(): void {
		this.#next = 0n;
		this.#kept.clear();
	}

	async close(): Promise<void> {
		this.#publisher.close();
		this.#router.close();
		await this.#replaying;
	}

	#keep(sequence: bigint, payload: Uint8Array): void {
		this.#kept.set(sequence, payload);
		if (this.#kept.size > this.#bufferSteps) this.#kept.delete(this.#kept.keys().next().value!);
	}

	async #replay(): Promise<void> {
		for await (const [client, delimiter, start] of this.#router) {
			if (!client || !delimiter || start?.length !== 8) continue;
			const from = start.readBigUInt64BE();
			for (const [sequence, payload] of [...this.#kept])
				if (sequence >= from)
					await this.#router.send([client, delimiter, bigEndian(sequence), Buffer.from(payload)]);
			await this.#router.send([client, delimiter, bigEndian(END), Buffer.alloc(0)]);
		}
	}
}

/** vLLM's tagged arrays: type, hashes, parent, tokens, block size, LoRA id, medium. */
function toWire(event: TrtllmKvEvent): unknown[] {
	switch (event.type) {
		case "stored":
			return [
				"BlockStored",
				event.blocks.map(({ hash }) => hash),
				event.parentHash,
				event.blocks.flatMap(({ tokens }) => [...tokens]),
				event.blocks[0]!.tokens.length,
				null,
				"GPU",
			];
		case "removed":
			return ["BlockRemoved", event.hashes, "GPU"];
		case "cleared":
			return ["AllBlocksCleared"];
	}
}

function bigEndian(value: bigint): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigInt64BE(value);
	return bytes;
}
