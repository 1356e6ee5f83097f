// SPDX-License-Identifier: Apache-2.0
import { PlainData } from "@dyn/protocols/dynamo";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import type { EventScope } from "./event-plane.js";
import { scopeFields } from "./subject.js";

/** How a publisher is reached. `config` is the transport's own business; unknown fields of it are skipped by every reader. */
export interface EventChannel {
	/** u64. */
	readonly publisherId: bigint;
	/** "Zmq", "Nats" or what other planes there may be. */
	readonly kind: string;
	readonly config: Readonly<Record<string, unknown>>;
}

/** Dynamo's EventChannel document: the value under `eventChannelKey`. */
export function encodeEventChannel(
	scope: EventScope,
	topic: string,
	{ publisherId, kind, config }: EventChannel,
): string {
	return stringifyJson({
		type: "EventChannel",
		scope: scopeFields(scope),
		topic,
		instance_id: publisherId,
		transport: { kind, config },
	});
}

/** @throws DynError INVALID_ARGUMENT, SyntaxError */
export function decodeEventChannel(text: string): EventChannel {
	const channel = new PlainData(parseJson(text), "event channel");
	const transport = channel.object("transport");
	return {
		publisherId: channel.required("instance_id", channel.integer("instance_id")),
		kind: transport.required("kind", transport.string("kind")),
		config: (transport.raw("config") ?? {}) as Record<string, unknown>,
	};
}
