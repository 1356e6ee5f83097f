// SPDX-License-Identifier: Apache-2.0
import { bindSocket } from "./attach-socket.js";
import { loadZmq } from "./load-zmq.js";
import { HIGH_WATER_MARK, KEEP_ALIVE, MAX_MESSAGE_BYTES, usesIpv6 } from "./socket-options.js";

export interface ZmqBrokerOptions {
	/** Where publishers connect, as in `tcp://0.0.0.0:5555`; a port of `*` takes any. */
	readonly xsubBind: string;
	/** Where subscribers connect. */
	readonly xpubBind: string;
}

export interface ZmqBroker {
	/** The endpoints, with their ports. */
	readonly xsub: string;
	readonly xpub: string;
	/** Resolves when nothing is forwarded any more. Idempotent. */
	close(): Promise<void>;
	readonly closed: Promise<void>;
}

/**
 * Forwards events from publishers to subscribers, in a thread of libzmq. A subscriber that is too slow loses events.
 * @throws DynError INVALID_ARGUMENT when it cannot listen, UNIMPLEMENTED when zeromq is not installed
 */
export async function createZmqBroker({ xsubBind, xpubBind }: ZmqBrokerOptions): Promise<ZmqBroker> {
	const zmq = await loadZmq();
	const shared = { linger: 0, maxMessageSize: MAX_MESSAGE_BYTES, ...KEEP_ALIVE };
	const xsubSocket = new zmq.XSubscriber({
		...shared,
		receiveHighWaterMark: HIGH_WATER_MARK,
		ipv6: usesIpv6(xsubBind),
	});
	const xpubSocket = new zmq.XPublisher({
		...shared,
		sendHighWaterMark: HIGH_WATER_MARK,
		ipv6: usesIpv6(xpubBind),
	});
	const xsub = await bindSocket(xsubSocket, xsubBind).catch((error) => {
		xpubSocket.close();
		throw error;
	});
	const xpub = await bindSocket(xpubSocket, xpubBind).catch((error) => {
		xsubSocket.close();
		throw error;
	});
	const proxy = new zmq.Proxy(xsubSocket, xpubSocket);
	let closing = false;
	const closed = proxy.run().finally(() => {
		xsubSocket.close();
		xpubSocket.close();
	});
	closed.catch(() => {}); // whoever awaits `closed` hears of it
	return {
		xsub,
		xpub,
		closed,
		close: () => {
			if (!closing) proxy.terminate();
			closing = true;
			return closed;
		},
	};
}
