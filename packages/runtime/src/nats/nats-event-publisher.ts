// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import { encodeEnvelope } from "../event-plane/envelope.js";
import type { EventPublisher } from "../event-plane/event-plane.js";
import type { ReplayBuffer } from "../event-plane/replay-buffer.js";
import { wrapEvent } from "../event-plane/wrap-event.js";
import { EventOutbox } from "./event-outbox.js";
import type { NatsLink } from "./nats-link.js";

const DEFAULT_CAPACITY = 100_000;

export interface NatsEventPublisherOptions {
	readonly id: bigint;
	readonly subject: string;
	readonly topic: string;
	readonly capacity: number | undefined;
	/** Where events are kept for replay; null when they are not. */
	readonly kept: ReplayBuffer | null;
}

/** Numbers events and hands them to the outbox; the numbers of dropped ones are not used again. */
export class NatsEventPublisher implements EventPublisher {
	readonly id: bigint;
	readonly #topic: string;
	readonly #kept: ReplayBuffer | null;
	readonly #outbox: EventOutbox;
	readonly #logger: Logger;
	readonly #onClose: () => Promise<void>;
	#sequence = 0n;
	#closing: Promise<void> | null = null;

	/** @param onClose called once, after the last event has left */
	constructor(
		nats: NatsLink,
		{ id, subject, topic, capacity = DEFAULT_CAPACITY, kept }: NatsEventPublisherOptions,
		logger: Logger,
		onClose: () => Promise<void>,
	) {
		this.id = id;
		this.#topic = topic;
		this.#kept = kept;
		this.#outbox = new EventOutbox(nats, subject, capacity);
		this.#logger = logger;
		this.#onClose = onClose;
	}

	get dropped(): number {
		return this.#outbox.dropped;
	}

	send(payload: unknown): void {
		if (this.#closing) return;
		const event = { publisherId: this.id, sequence: this.#sequence++, topic: this.#topic };
		const wrapped = wrapEvent(event, payload, this.#logger);
		const envelope = wrapped && encodeEnvelope(wrapped);
		this.#kept?.push(envelope);
		if (envelope) this.#outbox.push(envelope);
		else this.#outbox.drop();
	}

	close(): Promise<void> {
		this.#closing ??= this.#outbox.close().then(this.#onClose);
		return this.#closing;
	}
}
