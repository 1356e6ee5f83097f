// SPDX-License-Identifier: Apache-2.0
import { BoundedEventQueue } from "../event-plane/bounded-event-queue.js";
import { decodeEnvelope, openEnvelope, type UncountedEvent } from "../event-plane/envelope.js";
import type { EventPlaneContext, EventScope } from "../event-plane/event-plane.js";
import { GapRepair } from "../event-plane/gap-repair.js";
import { eventSubject } from "../event-plane/subject.js";
import type { NatsLink } from "./nats-link.js";
import { requestReplay } from "./nats-replay.js";

/** Reads a subject into a queue, and asks publishers for what did not come. */
export class NatsEventSubscription {
	readonly queue: BoundedEventQueue;
	/** Resolves when the server knows of it, or will once there is a connection. */
	readonly ready: Promise<void>;
	readonly #stop = new AbortController();

	/** @param onClose called once, when the reader leaves */
	constructor(
		nats: NatsLink,
		{ logger }: EventPlaneContext,
		scope: EventScope,
		topic: string,
		capacity: number | undefined,
		onClose: (queue: BoundedEventQueue) => void,
	) {
		const { signal } = this.#stop;
		this.queue = new BoundedEventQueue(capacity, () => {
			this.#stop.abort();
			unfollow();
			subscribed.then(
				(unsubscribe) => unsubscribe(),
				() => {},
			);
			onClose(this.queue);
		});
		const gaps = new GapRepair<UncountedEvent>(
			(event, missed) => this.queue.push({ ...event, missed }),
			(publisherId) => (from, to) => requestReplay(nats, { publisherId, from, to }, signal, logger),
		);
		const unfollow = nats.onChange((connected) => {
			if (connected) gaps.catchUpAll();
		});
		const subscribed = nats.subscribe(eventSubject(scope, topic), ({ body }) =>
			gaps.accept(openEnvelope(decodeEnvelope(body))),
		);
		this.ready = subscribed.then(() => {});
	}
}
