// SPDX-License-Identifier: Apache-2.0
import type { Subscriber } from "zeromq";
import { openEnvelope, type UncountedEvent } from "../envelope.js";
import { connectSocket, followBrokers, reachAll } from "./attach-socket.js";
import type { BrokerSource } from "./broker-endpoints.js";
import { HIGH_WATER_MARK, KEEP_ALIVE, MAX_MESSAGE_BYTES, usesIpv6 } from "./socket-options.js";
import type { ZmqContext } from "./zmq-context.js";
import { decodeMessage } from "./zmq-message.js";

export interface EventReceiverOptions {
	readonly endpoints: readonly string[];
	/** Where these endpoints come from, when they may change. */
	readonly brokers?: BrokerSource;
	readonly topic: string;
	/** The first frame of the messages that are wanted. */
	readonly route: string;
	readonly onEvent: (event: UncountedEvent) => void;
	/** A connection is there, for the first time or again. */
	readonly onConnected: () => void;
}

/** A SUB socket: connects, as often as it takes, and reads events until it is closed. What is no event is counted. */
export class EventReceiver {
	/** Resolves when every endpoint is reached, or does not seem to be there. */
	readonly reached: Promise<void>;
	readonly #context: ZmqContext;
	readonly #options: EventReceiverOptions;
	readonly #socket: Subscriber;
	#unfollow: () => void = () => {};
	#warned = false;

	/** @throws DynError INVALID_ARGUMENT when an endpoint is malformed */
	constructor(context: ZmqContext, options: EventReceiverOptions) {
		this.#context = context;
		this.#options = options;
		this.#socket = new context.zmq.Subscriber({
			context: context.sockets,
			receiveHighWaterMark: HIGH_WATER_MARK,
			maxMessageSize: MAX_MESSAGE_BYTES,
			linger: 0,
			ipv6: options.endpoints.some(usesIpv6),
			...KEEP_ALIVE,
		});
		this.#socket.events.on("handshake", options.onConnected);
		this.#socket.subscribe(options.route);
		connectSocket(this.#socket, options.endpoints);
		const { brokers } = options;
		if (brokers) this.#unfollow = followBrokers(this.#socket, brokers, "xpub", context.logger);
		this.reached = reachAll(this.#socket, options.endpoints.length);
		void this.#read();
	}

	close(): void {
		this.#unfollow();
		this.#socket.close();
	}

	async #read(): Promise<void> {
		const { route, onEvent } = this.#options;
		while (!this.#socket.closed) {
			let frames: Buffer[];
			try {
				frames = await this.#socket.receive();
			} catch (error) {
				if (!this.#socket.closed) this.#context.logger.error("reading events failed", { error });
				return;
			}
			// A subscription is to a prefix: what only begins like the route is somebody else's.
			if (frames[0]!.toString() !== route) continue;
			try {
				onEvent(openEnvelope(decodeMessage(frames).envelope));
			} catch (error) {
				this.#skip(error);
			}
		}
	}

	#skip(error: unknown): void {
		const { topic, endpoints } = this.#options;
		this.#context.invalidMessages.inc({ topic });
		if (this.#warned) return;
		this.#warned = true;
		this.#context.logger.warn("messages that are no events are skipped", { topic, endpoints, error });
	}
}
