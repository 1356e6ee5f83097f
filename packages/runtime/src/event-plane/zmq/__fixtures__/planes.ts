// SPDX-License-Identifier: Apache-2.0
import { type Metrics, noMetrics, silentLogger } from "@dyn/common";
import { XPublisher } from "zeromq";
import type { KeyValueStore } from "../../../discovery/key-value-store.js";
import { encodeEventChannel } from "../../event-channel.js";
import type { EventPlane, EventSubscription, ReceivedEvent } from "../../event-plane.js";
import { eventChannelKey } from "../../subject.js";
import { createZmqEventPlane, type ZmqEventPlaneOptions } from "../zmq-event-plane.js";

export const scope = { namespace: "dynamo", component: "backend", endpoint: "generate" };
export const topic = "kv-events";

/** What counters counted, by name and labels. */
export type Counts = Map<string, number>;

export async function createPlane(
	store: KeyValueStore,
	options: ZmqEventPlaneOptions = {},
	counts: Counts = new Map(),
): Promise<EventPlane> {
	const metrics: Metrics = {
		...noMetrics,
		counter: ({ name }) => ({
			inc: (labels, by = 1) => {
				const key = [name, ...Object.values(labels ?? {})].join(" ");
				counts.set(key, (counts.get(key) ?? 0) + by);
			},
		}),
	};
	return createZmqEventPlane(options)({ store, lease: await store.lease(), logger: silentLogger, metrics });
}

export class Reader {
	readonly #events: AsyncIterator<ReceivedEvent>;

	constructor(subscription: EventSubscription) {
		this.#events = subscription[Symbol.asyncIterator]();
	}

	async next(): Promise<ReceivedEvent> {
		return (await this.#events.next()).value;
	}

	/** Events as `sequence` or `sequence(missed)`. */
	async take(count: number): Promise<string[]> {
		const taken: string[] = [];
		while (taken.length < count) {
			const { sequence, missed } = await this.next();
			taken.push(missed ? `${sequence}(${missed})` : `${sequence}`);
		}
		return taken;
	}
}

/** A publisher that does what the test says: the messages of another one, or nonsense. */
export class PuppetPublisher {
	readonly #socket = new XPublisher({ linger: 0 });

	async bind(endpoint = "tcp://127.0.0.1:*"): Promise<string> {
		await this.#socket.bind(endpoint);
		return this.#socket.lastEndpoint!;
	}

	/** Registers under `publisherId`, and so again after `withdraw`. */
	async announce(store: KeyValueStore, publisherId: bigint, config: Record<string, unknown>): Promise<void> {
		const channel = { publisherId, kind: "Zmq", config };
		await store.put(
			eventChannelKey(scope, topic, publisherId),
			encodeEventChannel(scope, topic, channel),
			await store.lease(),
		);
	}

	/** Resolves with what the next subscriber subscribes to, or with null when one has left. */
	async subscription(): Promise<string | null> {
		const [message] = await this.#socket.receive();
		return message![0] === 1 ? message!.subarray(1).toString() : null;
	}

	async send(frames: readonly Uint8Array[]): Promise<void> {
		await this.#socket.send(frames as Buffer[]);
	}

	close(): void {
		this.#socket.close();
	}
}
