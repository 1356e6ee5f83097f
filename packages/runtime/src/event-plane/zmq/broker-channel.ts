// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { PlainData } from "@dyn/protocols/dynamo";
import type { KeyValueStore } from "../../discovery/key-value-store.js";
import { decodeEventChannel, encodeEventChannel } from "../event-channel.js";
import { eventChannelKey, eventChannelsPrefix } from "../subject.js";
import type { ZmqBrokerEndpoints } from "./broker-endpoints.js";

/** The component whose event channels are a namespace's brokers, whatever their topic (Dynamo's). */
const COMPONENT = "zmq_broker";
const TOPIC = "broker";

export interface ZmqBrokerAnnouncement {
	readonly store: KeyValueStore;
	readonly namespace: string;
	/** Where others reach the broker: an address of this machine, not 0.0.0.0. */
	readonly endpoints: ZmqBrokerEndpoints;
}

/**
 * Tells a namespace's publishers and subscribers, stock ones with DYN_ZMQ_BROKER_ENABLED among them, of a broker.
 * @returns what takes that back
 * @throws DynError UNAVAILABLE when discovery cannot be reached
 */
export async function announceZmqBroker({
	store,
	namespace,
	endpoints,
}: ZmqBrokerAnnouncement): Promise<() => Promise<void>> {
	const publisherId = randomBytes(8).readBigUInt64LE() >> 11n;
	const scope = { namespace, component: COMPONENT };
	const config = { xsub_endpoints: endpoints.xsub, xpub_endpoints: endpoints.xpub };
	const value = encodeEventChannel(scope, TOPIC, { publisherId, kind: "ZmqBroker", config });
	const lease = await store.lease();
	try {
		await store.put(eventChannelKey(scope, TOPIC, publisherId), value, lease);
	} catch (error) {
		await lease.revoke();
		throw error;
	}
	return () => lease.revoke();
}

/** What the keys of a namespace's brokers begin with. */
export function brokerPrefix(namespace: string): string {
	return eventChannelsPrefix({ namespace, component: COMPONENT });
}

/**
 * @returns null for a channel of another kind
 * @throws DynError INVALID_ARGUMENT, SyntaxError
 */
export function decodeBrokerChannel(text: string): ZmqBrokerEndpoints | null {
	const { kind, config } = decodeEventChannel(text);
	if (kind !== "ZmqBroker") return null;
	const fields = new PlainData(config, "event channel.transport.config");
	return { xsub: fields.strings("xsub_endpoints") ?? [], xpub: fields.strings("xpub_endpoints") ?? [] };
}
