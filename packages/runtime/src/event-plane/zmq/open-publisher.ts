// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { DynError } from "@dyn/common";
import type { Publisher } from "zeromq";
import type { EventScope, PublishOptions } from "../event-plane.js";
import { ReplayBuffer } from "../replay-buffer.js";
import { eventChannelKey, eventSubject } from "../subject.js";
import { bindSocket, connectSocket, followBrokers, reachAll } from "./attach-socket.js";
import type { BrokerSource } from "./broker-endpoints.js";
import { encodeReplayChannel, replayChannelKey } from "./replay-channel.js";
import { ReplayServer } from "./replay-server.js";
import { HIGH_WATER_MARK, KEEP_ALIVE, LINGER_MS, tcpUrl, usesIpv6 } from "./socket-options.js";
import { encodeZmqChannel, type ZmqChannel } from "./zmq-channel.js";
import type { ZmqContext } from "./zmq-context.js";
import { ZmqEventPublisher } from "./zmq-event-publisher.js";

/** Opens a publisher at a free port of `host` and announces it. */
export async function openDirectPublisher(
	context: ZmqContext,
	host: string,
	scope: EventScope,
	topic: string,
	options: PublishOptions,
): Promise<ZmqEventPublisher> {
	const id = newPublisherId();
	const anyPort = `${tcpUrl(host)}:*`;
	const socket = createPublisherSocket(context, [anyPort]);
	const endpoint = await bindSocket(socket, anyPort);
	const kept = options.replay ? new ReplayBuffer(options.replay) : null;
	let replay: ReplayServer | null = null;
	const closeSockets = () => {
		socket.close();
		replay?.close();
	};
	const key = eventChannelKey(scope, topic, id);
	try {
		if (kept) replay = await ReplayServer.open(context, anyPort, id, kept);
		const channel: ZmqChannel = { publisherId: id, endpoint, replayEndpoint: replay?.endpoint ?? null };
		await announce(context, key, encodeZmqChannel(scope, topic, channel));
	} catch (error) {
		closeSockets();
		throw error;
	}
	return new ZmqEventPublisher(context, {
		id,
		topic,
		route: topic,
		socket,
		capacity: options.capacity,
		kept,
		leave: () => withdraw(context, key),
		closeSockets,
	});
}

/** Opens a publisher that sends through brokers. Only one that keeps events needs to be found: at `host`, for replay. */
export async function openBrokerPublisher(
	context: ZmqContext,
	host: string,
	brokers: BrokerSource,
	scope: EventScope,
	topic: string,
	options: PublishOptions,
): Promise<ZmqEventPublisher> {
	const id = newPublisherId();
	const { xsub } = brokers.endpoints;
	const socket = createPublisherSocket(context, xsub);
	connectSocket(socket, xsub);
	const reached = reachAll(socket, xsub.length);
	const unfollow = followBrokers(socket, brokers, "xsub", context.logger);
	const kept = options.replay ? new ReplayBuffer(options.replay) : null;
	let replay: ReplayServer | null = null;
	const closeSockets = () => {
		unfollow();
		socket.close();
		replay?.close();
	};
	const key = replayChannelKey(scope, topic, id);
	try {
		if (kept) {
			replay = await ReplayServer.open(context, `${tcpUrl(host)}:*`, id, kept);
			await announce(context, key, encodeReplayChannel(scope, topic, id, replay.endpoint));
		}
	} catch (error) {
		closeSockets();
		throw error;
	}
	await reached;
	return new ZmqEventPublisher(context, {
		id,
		topic,
		route: eventSubject(scope, topic),
		socket,
		capacity: options.capacity,
		kept,
		leave: () => (kept ? withdraw(context, key) : Promise.resolve()),
		closeSockets,
	});
}

function createPublisherSocket({ zmq, sockets }: ZmqContext, endpoints: readonly string[]): Publisher {
	return new zmq.Publisher({
		context: sockets,
		sendHighWaterMark: HIGH_WATER_MARK,
		linger: LINGER_MS,
		ipv6: endpoints.some(usesIpv6),
		...KEEP_ALIVE,
	});
}

async function announce({ store, lease, logger }: ZmqContext, key: string, value: string): Promise<void> {
	try {
		await store.put(key, value, lease);
	} catch (error) {
		if (!DynError.is(error, "UNAVAILABLE")) throw error;
		logger.warn("discovery cannot be reached: the publisher of events appears when it can", { key, error });
	}
}

async function withdraw({ store, logger }: ZmqContext, key: string): Promise<void> {
	try {
		await store.delete(key);
	} catch (error) {
		logger.warn("a publisher of events stays in discovery until its lease ends", { key, error });
	}
}

/** Random, 53 bits: exact as a JSON number for every peer. */
function newPublisherId(): bigint {
	return randomBytes(8).readBigUInt64LE() >> 11n;
}
