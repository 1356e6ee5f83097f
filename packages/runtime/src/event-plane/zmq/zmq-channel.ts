// SPDX-License-Identifier: Apache-2.0
import { PlainData } from "@dyn/protocols/dynamo";
import { decodeEventChannel, encodeEventChannel } from "../event-channel.js";
import type { EventScope } from "../event-plane.js";

/** Where one publisher is reached. */
export interface ZmqChannel {
	readonly publisherId: bigint;
	/** `tcp://host:port` of its PUB socket. */
	readonly endpoint: string;
	/** Of its ROUTER socket for replay (this project's own); null when it keeps no events. */
	readonly replayEndpoint: string | null;
}

export function encodeZmqChannel(
	scope: EventScope,
	topic: string,
	{ publisherId, endpoint, replayEndpoint }: ZmqChannel,
): string {
	const replay = replayEndpoint === null ? {} : { replay_endpoint: replayEndpoint };
	return encodeEventChannel(scope, topic, { publisherId, kind: "Zmq", config: { endpoint, ...replay } });
}

/**
 * @returns null for a channel of another kind
 * @throws DynError INVALID_ARGUMENT, SyntaxError
 */
export function decodeZmqChannel(text: string): ZmqChannel | null {
	const { publisherId, kind, config } = decodeEventChannel(text);
	if (kind !== "Zmq") return null;
	const fields = new PlainData(config, "event channel.transport.config");
	return {
		publisherId,
		endpoint: fields.required("endpoint", fields.string("endpoint")),
		replayEndpoint: fields.string("replay_endpoint"),
	};
}
