// SPDX-License-Identifier: Apache-2.0
import { EVENT_CHANNELS_PREFIX, EVENT_SOURCES_PREFIX } from "../discovery/key-value-store.js";
import type { EventScope } from "./event-plane.js";

// Names of events, as in Dynamo: a path of kinds and names, with dots on the wire and with slashes in discovery.

/** `namespace.<ns>[.component.<c>[.endpoint.<e>]].<topic>`: what NATS and a ZeroMQ broker route by. */
export function eventSubject(scope: EventScope, topic: string): string {
	return [...scopeSegments(scope), topic].map(encodeSegment).join(".");
}

/** What the keys of all publishers of a topic begin with; ends in a slash. */
export function eventChannelPrefix(scope: EventScope, topic: string): string {
	return `${eventChannelsPrefix(scope)}${encodeSegment(topic)}/`;
}

/** What the keys of all publishers of a scope begin with, whatever their topic; ends in a slash. */
export function eventChannelsPrefix(scope: EventScope): string {
	return EVENT_CHANNELS_PREFIX + topicsOf(scope);
}

/** The key of one publisher's channel: the prefix and the publisher id in lower-case hex. */
export function eventChannelKey(scope: EventScope, topic: string, publisherId: bigint): string {
	return eventChannelPrefix(scope, topic) + publisherId.toString(16);
}

/** The key of a publisher's source record: as of its channel, in another bucket. */
export function eventSourceKey(scope: EventScope, topic: string, publisherId: bigint): string {
	return `${EVENT_SOURCES_PREFIX}${topicsOf(scope)}${encodeSegment(topic)}/${publisherId.toString(16)}`;
}

/** A scope as documents of discovery name it. */
export function scopeFields({ namespace, component, endpoint }: EventScope): Record<string, unknown> {
	if (component === undefined) return { kind: "namespace", name: namespace };
	if (endpoint === undefined) return { kind: "component", namespace, component };
	return { kind: "endpoint", endpoint: { namespace, component, name: endpoint } };
}

function topicsOf(scope: EventScope): string {
	return `${scopeSegments(scope).map(encodeSegment).join("/")}/topic/`;
}

function scopeSegments({ namespace, component, endpoint }: EventScope): string[] {
	const segments = ["namespace", namespace];
	if (component !== undefined) segments.push("component", component);
	if (component !== undefined && endpoint !== undefined) segments.push("endpoint", endpoint);
	return segments;
}

/** Percent-encodes every byte but `A-Z a-z 0-9 _ -`, so that no name holds a dot, a slash or a wildcard. */
export function encodeSegment(text: string): string {
	if (/^[\w-]*$/.test(text)) return text;
	let encoded = "";
	for (const byte of Buffer.from(text)) {
		const character = String.fromCharCode(byte);
		encoded += /[\w-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
	}
	return encoded;
}
