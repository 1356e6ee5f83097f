// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { BoundedEventQueue } from "./bounded-event-queue.js";
import type {
	EventPlane,
	EventPublisher,
	EventScope,
	EventSubscription,
	SubscribeOptions,
} from "./event-plane.js";

/** Events within one process: nothing is encoded, and only a reader that is too slow loses some. */
export class LocalEventPlane implements EventPlane {
	readonly #readers = new Map<string, Set<BoundedEventQueue>>();

	async publish(scope: EventScope, topic: string): Promise<EventPublisher> {
		const subject = subjectOf(scope, topic);
		const id = randomBytes(8).readBigUInt64LE() >> 11n;
		let sequence = 0n;
		let closed = false;
		return {
			id,
			dropped: 0,
			send: (payload) => {
				if (closed) return;
				const event = {
					publisherId: id,
					sequence: sequence++,
					missed: 0n,
					publishedAtMs: Date.now(),
					payload,
				};
				for (const reader of this.#readers.get(subject) ?? []) reader.push(event);
			},
			close: async () => {
				closed = true;
			},
		};
	}

	async subscribe(
		scope: EventScope,
		topic: string,
		options: SubscribeOptions = {},
	): Promise<EventSubscription> {
		const subject = subjectOf(scope, topic);
		const readers = this.#readers.get(subject) ?? new Set();
		this.#readers.set(subject, readers);
		const reader = new BoundedEventQueue(options.capacity, () => readers.delete(reader));
		readers.add(reader);
		return reader;
	}

	async close(): Promise<void> {
		for (const readers of this.#readers.values()) for (const reader of readers) await reader.close();
		this.#readers.clear();
	}
}

function subjectOf({ namespace, component, endpoint }: EventScope, topic: string): string {
	return [namespace, component ?? "", endpoint ?? "", topic].join("/");
}
