// SPDX-License-Identifier: Apache-2.0
import { BoundedEventQueue } from "../bounded-event-queue.js";
import type {
	EventPlane,
	EventPlaneContext,
	EventPlaneFactory,
	EventPublisher,
	EventScope,
	EventSubscription,
	PublishOptions,
	SubscribeOptions,
} from "../event-plane.js";
import { OpenSet } from "../open-set.js";
import { type BrokerSource, fixedBrokers, type ZmqBrokerEndpoints } from "./broker-endpoints.js";
import { BrokerSubscription } from "./broker-subscription.js";
import { DirectSubscription } from "./direct-subscription.js";
import { DiscoveredBrokers } from "./discovered-brokers.js";
import { openBrokerPublisher, openDirectPublisher } from "./open-publisher.js";
import { createZmqContext, type ZmqContext } from "./zmq-context.js";

export interface ZmqEventPlaneOptions {
	/** Address at which subscribers reach this process, and on which it listens. Default 127.0.0.1. */
	readonly host?: string;
	/** Send through these brokers, or those in discovery. Default: publishers and subscribers find each other. */
	readonly broker?: ZmqBrokerEndpoints | "discover";
}

/**
 * Dynamo's ZeroMQ event plane. Publishers may keep events for those who missed some (`PublishOptions.replay`), which works
 * between peers of this project.
 */
export function createZmqEventPlane(options: ZmqEventPlaneOptions = {}): EventPlaneFactory {
	return (context) => new ZmqEventPlane(options, context);
}

class ZmqEventPlane implements EventPlane {
	readonly #options: ZmqEventPlaneOptions;
	readonly #eventContext: EventPlaneContext;
	#context: Promise<ZmqContext> | null = null;
	readonly #open = new OpenSet();
	/** By namespace. */
	readonly #brokers = new Map<string, Promise<BrokerSource>>();

	constructor(options: ZmqEventPlaneOptions, context: EventPlaneContext) {
		this.#options = options;
		this.#eventContext = context;
	}

	async publish(scope: EventScope, topic: string, options: PublishOptions = {}): Promise<EventPublisher> {
		const context = await this.#enter();
		const { host = "127.0.0.1" } = this.#options;
		const brokers = await this.#brokersOf(context, scope.namespace);
		const publisher = await (brokers
			? openBrokerPublisher(context, host, brokers, scope, topic, options)
			: openDirectPublisher(context, host, scope, topic, options));
		void publisher.closed.then(() => this.#open.delete(publisher));
		await this.#open.add(publisher);
		return publisher;
	}

	async subscribe(
		scope: EventScope,
		topic: string,
		options: SubscribeOptions = {},
	): Promise<EventSubscription> {
		const context = await this.#enter();
		const brokers = await this.#brokersOf(context, scope.namespace);
		const queue: BoundedEventQueue = new BoundedEventQueue(
			options.capacity,
			() => {
				this.#open.delete(queue);
				subscription.close();
			},
			() => context.droppedEvents.inc({ topic, side: "subscriber" }),
		);
		const subscription = brokers
			? new BrokerSubscription(context, brokers, scope, topic, queue)
			: new DirectSubscription(context, scope, topic, queue);
		await this.#open.add(queue);
		await subscription.ready;
		return queue;
	}

	async close(): Promise<void> {
		await this.#open.close();
		for (const finding of this.#brokers.values())
			finding.then(
				(brokers) => brokers.close(),
				() => {},
			);
	}

	/** Null without brokers. @throws DynError UNAVAILABLE when none is found */
	async #brokersOf(context: ZmqContext, namespace: string): Promise<BrokerSource | null> {
		const { broker } = this.#options;
		if (broker !== "discover") return broker ? fixedBrokers(broker) : null;
		const known = this.#brokers.get(namespace);
		if (known) return known;
		const finding = DiscoveredBrokers.find(context, namespace);
		this.#brokers.set(namespace, finding);
		finding.catch(() => this.#brokers.delete(namespace)); // the next one may be luckier
		return finding;
	}

	/** @throws DynError UNAVAILABLE after `close`, UNIMPLEMENTED without zeromq */
	async #enter(): Promise<ZmqContext> {
		this.#open.check();
		this.#context ??= createZmqContext(this.#eventContext);
		const context = await this.#context;
		this.#open.check();
		return context;
	}
}
