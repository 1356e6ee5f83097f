// SPDX-License-Identifier: Apache-2.0
import { WatchedMap } from "../../discovery/watched-map.js";
import type { BoundedEventQueue } from "../bounded-event-queue.js";
import type { UncountedEvent } from "../envelope.js";
import type { EventScope } from "../event-plane.js";
import { GapRepair, type Repair } from "../gap-repair.js";
import { eventSubject } from "../subject.js";
import type { BrokerSource } from "./broker-endpoints.js";
import { EventReceiver } from "./event-receiver.js";
import { replayChannelKey, replayChannelPrefix } from "./replay-channel.js";
import { requestReplay } from "./request-replay.js";
import { decodeZmqChannel, type ZmqChannel } from "./zmq-channel.js";
import type { ZmqContext } from "./zmq-context.js";

/** An event that one broker lost may come from another so much later, ms. */
const OTHER_BROKER_MS = 500;

/**
 * Reads a topic from every broker. Each event comes once for each of them; the first is taken. One that does not come is
 * asked for where its publisher keeps some.
 */
export class BrokerSubscription {
	/** Resolves when the brokers are reached, or do not seem to be there. */
	readonly ready: Promise<void>;
	readonly #context: ZmqContext;
	readonly #brokers: BrokerSource;
	readonly #keyOf: (publisherId: bigint) => string;
	/** Publishers that keep events. */
	readonly #keepers: WatchedMap<ZmqChannel | null>;
	readonly #receiver: EventReceiver;
	readonly #stop = new AbortController();

	/** @throws DynError INVALID_ARGUMENT when an endpoint is malformed */
	constructor(
		context: ZmqContext,
		brokers: BrokerSource,
		scope: EventScope,
		topic: string,
		queue: BoundedEventQueue,
	) {
		this.#context = context;
		this.#brokers = brokers;
		this.#keyOf = (publisherId) => replayChannelKey(scope, topic, publisherId);
		const gaps = new GapRepair<UncountedEvent>(
			(event, missed) => queue.push({ ...event, missed }),
			(publisherId) => this.#repairOf(publisherId),
		);
		this.#receiver = new EventReceiver(context, {
			endpoints: brokers.endpoints.xpub,
			brokers,
			topic,
			route: eventSubject(scope, topic),
			onEvent: (event) => gaps.accept(event),
			onConnected: () => {
				for (const keeper of this.#keepers.entries.values()) if (keeper) gaps.catchUp(keeper.publisherId);
			},
		});
		let synced = false;
		this.#keepers = new WatchedMap(
			context.store,
			replayChannelPrefix(scope, topic),
			decodeZmqChannel,
			context.logger,
			({ value, previous }) => {
				// One that appears while we are here is wanted from its first event on, also if the broker did not know us then.
				if (synced && value && !previous) gaps.expectFromStart(value.publisherId);
			},
		);
		this.ready = Promise.all([this.#keepers.synced, this.#receiver.reached]).then(() => {});
		void this.#keepers.synced.then(() => {
			synced = true;
		});
	}

	close(): void {
		this.#stop.abort();
		this.#keepers.close();
		this.#receiver.close();
	}

	#repairOf(publisherId: bigint): Repair<UncountedEvent> | null {
		const endpoint = this.#keepers.entries.get(this.#keyOf(publisherId))?.replayEndpoint;
		if (endpoint)
			return (from, to) =>
				requestReplay(this.#context, endpoint, { publisherId, from, to }, this.#stop.signal);
		return this.#brokers.endpoints.xpub.length > 1 ? waitForOtherBroker : null;
	}
}

const waitForOtherBroker: Repair<UncountedEvent> = (_, to) =>
	new Promise((resolve) => {
		setTimeout(() => resolve({ events: [], settled: to }), OTHER_BROKER_MS).unref();
	});
