// SPDX-License-Identifier: Apache-2.0
import type { EventScope } from "../event-plane.js";
import { eventChannelKey, eventChannelPrefix, eventSubject } from "../subject.js";
import { encodeZmqChannel } from "./zmq-channel.js";

// Through brokers publishers have no event channel. One that keeps events for replay has a record of this project: a channel
// of the component `dyn_replay` in its namespace, where Dynamo's subscribers do not look, with the subject as its topic.

function replayScope({ namespace }: EventScope): EventScope {
	return { namespace, component: "dyn_replay" };
}

/** What the keys of all publishers of a topic begin with. */
export function replayChannelPrefix(scope: EventScope, topic: string): string {
	return eventChannelPrefix(replayScope(scope), eventSubject(scope, topic));
}

export function replayChannelKey(scope: EventScope, topic: string, publisherId: bigint): string {
	return eventChannelKey(replayScope(scope), eventSubject(scope, topic), publisherId);
}

/** @param endpoint of the ROUTER socket */
export function encodeReplayChannel(
	scope: EventScope,
	topic: string,
	publisherId: bigint,
	endpoint: string,
): string {
	const channel = { publisherId, endpoint, replayEndpoint: endpoint };
	return encodeZmqChannel(replayScope(scope), eventSubject(scope, topic), channel);
}
