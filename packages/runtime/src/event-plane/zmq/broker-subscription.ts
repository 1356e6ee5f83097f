// SPDX-License-Identifier: Apache-2.0
import type { BoundedEventQueue } from "../bounded-event-queue.js";
import type { UncountedEvent } from "../envelope.js";
import type { EventScope } from "../event-plane.js";
import { GapRepair, type Repair } from "../gap-repair.js";
import { eventSubject } from "../subject.js";
import { EventReceiver } from "./event-receiver.js";
import type { ZmqContext } from "./zmq-context.js";

/** An event that one broker lost may come from another so much later, ms. */
const OTHER_BROKER_MS = 500;

/** Reads a topic from every broker. Each event comes once for each of them; the first is taken. */
export class BrokerSubscription {
	/** Resolves when the brokers are reached, or do not seem to be there. */
	readonly ready: Promise<void>;
	readonly #receiver: EventReceiver;

	/** @throws DynError INVALID_ARGUMENT when an endpoint is malformed */
	constructor(
		context: ZmqContext,
		brokers: readonly string[],
		scope: EventScope,
		topic: string,
		queue: BoundedEventQueue,
	) {
		const gaps = new GapRepair<UncountedEvent>(
			(event, missed) => queue.push({ ...event, missed }),
			() => (brokers.length > 1 ? waitForOtherBroker : null),
		);
		this.#receiver = new EventReceiver(context, {
			endpoints: brokers,
			topic,
			route: eventSubject(scope, topic),
			onEvent: (event) => gaps.accept(event),
			onConnected: () => {},
		});
		this.ready = this.#receiver.reached;
	}

	close(): void {
		this.#receiver.close();
	}
}

const waitForOtherBroker: Repair<UncountedEvent> = (_, to) =>
	new Promise((resolve) => {
		setTimeout(() => resolve({ events: [], settled: to }), OTHER_BROKER_MS).unref();
	});
