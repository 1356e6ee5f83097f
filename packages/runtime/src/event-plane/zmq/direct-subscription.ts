// SPDX-License-Identifier: Apache-2.0
import { WatchedMap } from "../../discovery/watched-map.js";
import type { BoundedEventQueue } from "../bounded-event-queue.js";
import type { UncountedEvent } from "../envelope.js";
import type { EventScope } from "../event-plane.js";
import { GapRepair } from "../gap-repair.js";
import { eventChannelPrefix } from "../subject.js";
import { EventReceiver } from "./event-receiver.js";
import { requestReplay } from "./request-replay.js";
import { decodeZmqChannel, type ZmqChannel } from "./zmq-channel.js";
import type { ZmqContext } from "./zmq-context.js";

/** A publisher that left discovery may have sent events before that are still on their way for so long, ms. */
const LEAVE_GRACE_MS = 500;

interface Link {
	readonly channel: ZmqChannel;
	readonly receiver: EventReceiver;
	/** Closes the receiver when it fires. */
	leaving: NodeJS.Timeout | null;
}

/** Follows the publishers of a topic in discovery and reads from each of them. */
export class DirectSubscription {
	/** Resolves when every publisher that is there at the beginning is reached, or does not seem to be there. */
	readonly ready: Promise<void>;
	readonly #context: ZmqContext;
	readonly #topic: string;
	readonly #channels: WatchedMap<ZmqChannel | null>;
	readonly #links = new Map<bigint, Link>();
	readonly #gaps: GapRepair<UncountedEvent>;
	readonly #stop = new AbortController();
	#synced = false;

	constructor(context: ZmqContext, scope: EventScope, topic: string, queue: BoundedEventQueue) {
		this.#context = context;
		this.#topic = topic;
		this.#gaps = new GapRepair(
			(event, missed) => queue.push({ ...event, missed }),
			(publisherId) => this.#repairOf(publisherId),
		);
		this.#channels = new WatchedMap(
			context.store,
			eventChannelPrefix(scope, topic),
			decodeZmqChannel,
			context.logger,
			({ value, previous }) => {
				if (value) this.#join(value);
				else if (previous) this.#leave(previous.publisherId);
			},
		);
		this.ready = this.#channels.synced.then(async () => {
			this.#synced = true;
			await Promise.all([...this.#links.values()].map(({ receiver }) => receiver.reached));
		});
	}

	close(): void {
		this.#stop.abort();
		this.#channels.close();
		for (const publisherId of [...this.#links.keys()]) this.#drop(publisherId);
	}

	#join(channel: ZmqChannel): void {
		if (this.#stop.signal.aborted) return;
		const { publisherId, endpoint } = channel;
		this.#drop(publisherId);
		// One that appears while we are here is wanted from its first event on, also if that came before the connection.
		if (this.#synced) this.#gaps.expectFromStart(publisherId);
		try {
			const receiver = new EventReceiver(this.#context, {
				endpoints: [endpoint],
				topic: this.#topic,
				route: this.#topic,
				onEvent: (event) => {
					// Else somebody has got the port of one that is gone.
					if (event.publisherId === publisherId) this.#gaps.accept(event);
				},
				onConnected: () => this.#gaps.catchUp(publisherId),
			});
			this.#links.set(publisherId, { channel, receiver, leaving: null });
		} catch (error) {
			this.#context.logger.warn("a publisher of events has no usable address", { ...channel, error });
		}
	}

	#leave(publisherId: bigint): void {
		const link = this.#links.get(publisherId);
		if (link) link.leaving = setTimeout(() => this.#drop(publisherId), LEAVE_GRACE_MS).unref();
	}

	#drop(publisherId: bigint): void {
		const link = this.#links.get(publisherId);
		if (!link) return;
		if (link.leaving) clearTimeout(link.leaving);
		link.receiver.close();
		this.#links.delete(publisherId);
	}

	#repairOf(publisherId: bigint) {
		const endpoint = this.#links.get(publisherId)?.channel.replayEndpoint;
		if (!endpoint) return null;
		return (from: bigint, to: bigint) =>
			requestReplay(this.#context, endpoint, { publisherId, from, to }, this.#stop.signal);
	}
}
