// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { DynError } from "@dyn/common";
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
import { OpenSet } from "../event-plane/open-set.js";
import { ReplayBuffer } from "../event-plane/replay-buffer.js";
import { eventChannelKey, eventSubject } from "../event-plane/subject.js";
import { NatsEventPublisher } from "./nats-event-publisher.js";
import { NatsEventSubscription } from "./nats-event-subscription.js";
import type { NatsLink } from "./nats-link.js";
import { answerReplay, replaySubject } from "./nats-replay.js";

export interface NatsEventPlaneOptions {
	/** The process's connection to NATS. Whoever made it closes it, after the runtime. */
	readonly nats: NatsLink;
}

/**
 * Dynamo's NATS event plane: core publish and subscribe, one subject per scope and topic. A server that is away or slow
 * costs events and nothing else. Publishers may keep some for those who missed them (`PublishOptions.replay`), which works
 * between peers of this project; the others are counted as missed.
 */
export function createNatsEventPlane({ nats }: NatsEventPlaneOptions): EventPlaneFactory {
	return (context) => new NatsEventPlane(nats, context);
}

class NatsEventPlane implements EventPlane {
	readonly #nats: NatsLink;
	readonly #context: EventPlaneContext;
	readonly #open = new OpenSet();

	constructor(nats: NatsLink, context: EventPlaneContext) {
		this.#nats = nats;
		this.#context = context;
	}

	async publish(scope: EventScope, topic: string, options: PublishOptions = {}): Promise<EventPublisher> {
		this.#open.check();
		const { logger } = this.#context;
		const id = randomBytes(8).readBigUInt64LE() >> 11n;
		const subject = eventSubject(scope, topic);
		const key = eventChannelKey(scope, topic, id);
		const kept = options.replay ? new ReplayBuffer(options.replay) : null;
		const endReplay = kept ? await this.#serveReplay(id, kept) : () => {};
		const config = { subject_prefix: subject.slice(0, subject.lastIndexOf(".")) };
		await this.#announce(key, encodeEventChannel(scope, topic, { publisherId: id, kind: "Nats", config }));
		const publisher = new NatsEventPublisher(
			this.#nats,
			{ id, subject, topic, capacity: options.capacity, kept },
			logger,
			async () => {
				this.#open.delete(publisher);
				endReplay();
				await this.#withdraw(key);
			},
		);
		await this.#open.add(publisher);
		return publisher;
	}

	async subscribe(
		scope: EventScope,
		topic: string,
		options: SubscribeOptions = {},
	): Promise<EventSubscription> {
		this.#open.check();
		const { queue, ready } = new NatsEventSubscription(
			this.#nats,
			this.#context,
			scope,
			topic,
			options.capacity,
			(closed) => this.#open.delete(closed),
		);
		ready.catch(() => {}); // awaited below, unless the plane closes before
		await this.#open.add(queue);
		try {
			await ready;
		} catch (error) {
			await queue.close();
			throw error;
		}
		return queue;
	}

	close(): Promise<void> {
		return this.#open.close();
	}

	/** Answers subscribers who missed events. Returns what ends that. */
	async #serveReplay(id: bigint, kept: ReplayBuffer): Promise<() => void> {
		const { logger } = this.#context;
		try {
			return await this.#nats.subscribe(replaySubject(id), ({ body, respond }) =>
				respond(answerReplay(body, id, kept, this.#nats.maxMessageBytes)),
			);
		} catch (error) {
			if (!DynError.is(error, "UNAUTHENTICATED")) throw error;
			logger.warn("events that subscribers miss cannot be asked for", { error });
			return () => {};
		}
	}

	async #announce(key: string, value: string): Promise<void> {
		const { store, lease, logger } = this.#context;
		await store.put(key, value, lease).catch((error) => {
			// Subscribers know the subject; the record is for those who look at discovery.
			if (!DynError.is(error, "UNAVAILABLE")) throw error;
			logger.warn("discovery cannot be reached: the event channel appears when it can", { key, error });
		});
	}

	async #withdraw(key: string): Promise<void> {
		const { store, logger } = this.#context;
		await store
			.delete(key)
			.catch((error) => logger.warn("an event channel stays until its lease ends", { key, error }));
	}
}
