// SPDX-License-Identifier: Apache-2.0
import type { Publisher } from "zeromq";
import type { EventPublisher } from "../event-plane.js";
import type { ReplayBuffer } from "../replay-buffer.js";
import { wrapEvent } from "../wrap-event.js";
import type { ZmqContext } from "./zmq-context.js";
import { encodeFrame, encodeMessage } from "./zmq-message.js";
import { ZmqOutbox } from "./zmq-outbox.js";

const DEFAULT_CAPACITY = 100_000;

export interface ZmqPublisherOptions {
	readonly id: bigint;
	/** In the envelope. */
	readonly topic: string;
	/** The first frame: the bare topic, or the subject through a broker. */
	readonly route: string;
	readonly socket: Publisher;
	/** Messages that wait for the socket. */
	readonly capacity: number | undefined;
	/** Where events are kept for replay; null when they are not. */
	readonly kept: ReplayBuffer | null;
	/** Leaves discovery. Called once, while the last events are still on their way. */
	readonly leave: () => Promise<void>;
	/** Called once, after the last event. */
	readonly closeSockets: () => void;
}

/** Numbers events and hands them to the outbox; the numbers of dropped ones are not used again. */
export class ZmqEventPublisher implements EventPublisher {
	readonly id: bigint;
	readonly closed: Promise<void>;
	readonly #context: ZmqContext;
	readonly #options: ZmqPublisherOptions;
	readonly #route: Buffer;
	readonly #outbox: ZmqOutbox;
	#sequence = 0n;
	#dropped = 0;
	#closing = false;
	#resolveClosed!: () => void;

	constructor(context: ZmqContext, options: ZmqPublisherOptions) {
		this.id = options.id;
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		this.#context = context;
		this.#options = options;
		this.#route = Buffer.from(options.route);
		this.#outbox = new ZmqOutbox(options.socket, options.capacity ?? DEFAULT_CAPACITY, () => this.#drop());
	}

	get dropped(): number {
		return this.#dropped;
	}

	send(payload: unknown): void {
		if (this.#closing) return;
		const sequence = this.#sequence++;
		const { topic, kept } = this.#options;
		const wrapped = wrapEvent({ publisherId: this.id, sequence, topic }, payload, this.#context.logger);
		const frame = wrapped && encodeFrame(wrapped);
		kept?.push(frame);
		if (frame) this.#outbox.push(encodeMessage(this.#route, this.id, sequence, frame));
		else this.#drop();
	}

	async close(): Promise<void> {
		if (this.#closing) return this.closed;
		this.#closing = true;
		await Promise.all([this.#options.leave(), this.#outbox.flush()]);
		this.#options.closeSockets();
		this.#resolveClosed();
	}

	#drop(): void {
		this.#dropped++;
		this.#context.droppedEvents.inc({ topic: this.#options.topic, side: "publisher" });
	}
}
