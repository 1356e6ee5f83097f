// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { DynError } from "@dyn/common";
import { decodeMsgpack } from "@dyn/protocols/msgpack";
import { BoundedEventQueue } from "../event-plane/bounded-event-queue.js";
import { decodeEnvelope } from "../event-plane/envelope.js";
import { encodeEventChannel } from "../event-plane/event-channel.js";
import type {
	EventPlane,
	EventPlaneContext,
	EventPlaneFactory,
	EventPublisher,
	EventScope,
	EventSubscription,
	PublishOptions,
	SubscribeOptions,
} from "../event-plane/event-plane.js";
import { SequenceTracker } from "../event-plane/sequence-tracker.js";
import { eventChannelKey, eventSubject } from "../event-plane/subject.js";
import { NatsEventPublisher } from "./nats-event-publisher.js";
import type { NatsLink } from "./nats-link.js";

export interface NatsEventPlaneOptions {
	/** The process's connection to NATS. Whoever made it closes it, after the runtime. */
	readonly nats: NatsLink;
}

/**
 * Dynamo's NATS event plane: core publish and subscribe, one subject per scope and topic. A server that is away or slow
 * costs events, which subscribers see as missed, and nothing else. It keeps none for replay.
 */
export function createNatsEventPlane({ nats }: NatsEventPlaneOptions): EventPlaneFactory {
	return (context) => new NatsEventPlane(nats, context);
}

class NatsEventPlane implements EventPlane {
	readonly #nats: NatsLink;
	readonly #context: EventPlaneContext;
	readonly #open = new Set<{ close(): Promise<void> }>();
	#closed = false;

	constructor(nats: NatsLink, context: EventPlaneContext) {
		this.#nats = nats;
		this.#context = context;
	}

	async publish(scope: EventScope, topic: string, options: PublishOptions = {}): Promise<EventPublisher> {
		this.#checkOpen();
		const { store, lease, logger } = this.#context;
		const id = randomBytes(8).readBigUInt64LE() >> 11n;
		const subject = eventSubject(scope, topic);
		const key = eventChannelKey(scope, topic, id);
		const config = { subject_prefix: subject.slice(0, subject.lastIndexOf(".")) };
		await store
			.put(key, encodeEventChannel(scope, topic, { publisherId: id, kind: "Nats", config }), lease)
			.catch((error) => {
				// Subscribers know the subject; the record is for those who look at discovery.
				if (!DynError.is(error, "UNAVAILABLE")) throw error;
				logger.warn("discovery cannot be reached: the event channel appears when it can", { key, error });
			});
		const publisher = new NatsEventPublisher(
			this.#nats,
			{ id, subject, topic, capacity: options.capacity },
			logger,
			async () => {
				this.#open.delete(publisher);
				await store
					.delete(key)
					.catch((error) => logger.warn("an event channel stays until its lease ends", { key, error }));
			},
		);
		this.#open.add(publisher);
		return publisher;
	}

	async subscribe(
		scope: EventScope,
		topic: string,
		options: SubscribeOptions = {},
	): Promise<EventSubscription> {
		this.#checkOpen();
		const sequences = new SequenceTracker();
		const queue = new BoundedEventQueue(options.capacity, () => {
			this.#open.delete(queue);
			subscribed.then(
				(unsubscribe) => unsubscribe(),
				() => {},
			);
		});
		const subscribed = this.#nats.subscribe(eventSubject(scope, topic), ({ body }) => {
			const { publisherId, sequence, publishedAtMs, payload } = decodeEnvelope(body);
			const arrival = sequences.observe(publisherId, sequence);
			if (arrival.kind === "duplicate" || arrival.kind === "stale") return;
			const { missed } = arrival;
			queue.push({ publisherId, sequence, missed, publishedAtMs, payload: decodeMsgpack(payload) });
		});
		this.#open.add(queue);
		try {
			await subscribed;
		} catch (error) {
			await queue.close();
			throw error;
		}
		return queue;
	}

	async close(): Promise<void> {
		this.#closed = true;
		await Promise.all([...this.#open].map((each) => each.close()));
	}

	#checkOpen(): void {
		if (this.#closed) throw new DynError("UNAVAILABLE", "the event plane is closed");
	}
}
