// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { Socket } from "zeromq";
import type { BrokerSource, ZmqBrokerEndpoints } from "./broker-endpoints.js";

/** How long opening a publisher or a subscription may wait for its connections, ms. */
const REACH_MS = 1000;

/**
 * Binds and resolves with the endpoint, which has the port in it where `endpoint` has `*`. Closes the socket on failure.
 * @throws DynError INVALID_ARGUMENT
 */
export async function bindSocket(
	socket: Socket & { readonly lastEndpoint: string | null },
	endpoint: string,
): Promise<string> {
	try {
		await socket.bind(endpoint);
		return socket.lastEndpoint!;
	} catch (cause) {
		socket.close();
		throw unusable(
			`cannot listen for events on ${endpoint}`,
			"a free port and an address of this machine",
			cause,
		);
	}
}

/**
 * Begins to connect to each endpoint; libzmq goes on until it can. Closes the socket on failure.
 * @throws DynError INVALID_ARGUMENT when an endpoint is malformed
 */
export function connectSocket(socket: Socket, endpoints: readonly string[]): void {
	for (const endpoint of endpoints)
		try {
			socket.connect(endpoint);
		} catch (cause) {
			socket.close();
			throw unusable(
				`cannot connect to ${endpoint} for events`,
				"an address of the form tcp://host:port",
				cause,
			);
		}
}

/** Connects `socket` to brokers that come and disconnects it from those that go. Returns what ends that. */
export function followBrokers(
	socket: Socket,
	brokers: BrokerSource,
	side: keyof ZmqBrokerEndpoints,
	logger: Logger,
): () => void {
	let connected = brokers.endpoints[side];
	return brokers.onChange(() => {
		const wanted = brokers.endpoints[side];
		try {
			for (const each of wanted) if (!connected.includes(each)) socket.connect(each);
			for (const each of connected) if (!wanted.includes(each)) socket.disconnect(each);
		} catch (error) {
			logger.warn("a broker of events has no usable address", { wanted, error });
		}
		connected = wanted;
	});
}

/**
 * Resolves when `socket`, which was just connected to so many endpoints, has reached them all, or the time is up: one may
 * be gone and not known to be. What comes through a connection before it is there is lost.
 */
export function reachAll(socket: Socket, endpoints: number): Promise<void> {
	return new Promise((resolve) => {
		let missing = endpoints;
		const timer = setTimeout(resolve, REACH_MS).unref();
		socket.events.on("handshake", () => {
			if (--missing > 0) return;
			clearTimeout(timer);
			resolve();
		});
		socket.events.on("end", () => resolve());
	});
}

function unusable(what: string, instead: string, cause: unknown): DynError {
	const reason = cause instanceof Error ? cause.message : String(cause);
	return new DynError("INVALID_ARGUMENT", `${what}: ${reason}; choose ${instead}`, { cause });
}
