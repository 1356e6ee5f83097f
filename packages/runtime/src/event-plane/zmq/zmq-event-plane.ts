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
import { BrokerSubscription } from "./broker-subscription.js";
import { DirectSubscription } from "./direct-subscription.js";
import { openBrokerPublisher, openDirectPublisher } from "./open-publisher.js";
import { createZmqContext, type ZmqContext } from "./zmq-context.js";

export interface ZmqEventPlaneOptions {
	/** Address at which subscribers reach this process, and on which it listens. Default 127.0.0.1. */
	readonly host?: string;
	/** Send through brokers. Default: publishers and subscribers find each other through discovery. */
	readonly broker?: ZmqBrokerEndpoints;
}

/** One entry per broker, as in `tcp://10.0.0.7:5555`. */
export interface ZmqBrokerEndpoints {
	/** Where publishers connect. */
	readonly xsub: readonly string[];
	/** Where subscribers connect. */
	readonly xpub: readonly string[];
}

/**
 * Dynamo's ZeroMQ event plane. Publishers may keep events for those who missed some (`PublishOptions.replay`), which works
 * between peers of this project and not through brokers.
 */
export function createZmqEventPlane(options: ZmqEventPlaneOptions = {}): EventPlaneFactory {
	return (context) => new ZmqEventPlane(options, context);
}

class ZmqEventPlane implements EventPlane {
	readonly #options: ZmqEventPlaneOptions;
	readonly #eventContext: EventPlaneContext;
	#context: Promise<ZmqContext> | null = null;
	readonly #open = new OpenSet();

	constructor(options: ZmqEventPlaneOptions, context: EventPlaneContext) {
		this.#options = options;
		this.#eventContext = context;
	}

	async publish(scope: EventScope, topic: string, options: PublishOptions = {}): Promise<EventPublisher> {
		const context = await this.#enter();
		const { host = "127.0.0.1", broker } = this.#options;
		const publisher = await (broker
			? openBrokerPublisher(context, broker.xsub, scope, topic, options)
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
		const { broker } = this.#options;
		const queue: BoundedEventQueue = new BoundedEventQueue(
			options.capacity,
			() => {
				this.#open.delete(queue);
				subscription.close();
			},
			() => context.droppedEvents.inc({ topic, side: "subscriber" }),
		);
		const subscription = broker
			? new BrokerSubscription(context, broker.xpub, scope, topic, queue)
			: new DirectSubscription(context, scope, topic, queue);
		await this.#open.add(queue);
		await subscription.ready;
		return queue;
	}

	close(): Promise<void> {
		return this.#open.close();
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
