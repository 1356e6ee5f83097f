// SPDX-License-Identifier: Apache-2.0

/** Messages that libzmq queues per peer before it drops (Dynamo's). */
export const HIGH_WATER_MARK = 100_000;

/** A peer that sends a larger frame is disconnected, bytes. */
export const MAX_MESSAGE_BYTES: number = 64 * 2 ** 20;

/** How long a closed socket goes on sending what it was given, ms. */
export const LINGER_MS = 1000;

/** Sockets of one plane: a router has one per publisher and topic. libzmq's own default is 1023. */
export const MAX_SOCKETS = 16_384;

/** Finds out that a peer's machine is gone. */
export const KEEP_ALIVE = { tcpKeepalive: 1, tcpKeepaliveIdle: 30, tcpKeepaliveInterval: 10 } as const;

/** `tcp://host`, with IPv6 addresses in brackets. */
export function tcpUrl(host: string): string {
	return `tcp://${host.includes(":") ? `[${host}]` : host}`;
}

/** libzmq must be told before it takes an IPv6 address. */
export function usesIpv6(url: string): boolean {
	return url.includes("[");
}
