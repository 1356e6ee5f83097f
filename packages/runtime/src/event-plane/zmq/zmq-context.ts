// SPDX-License-Identifier: Apache-2.0
import type { Counter } from "@dyn/common";
import type { Context } from "zeromq";
import type { EventPlaneContext } from "../event-plane.js";
import { loadZmq, type Zmq } from "./load-zmq.js";
import { MAX_SOCKETS } from "./socket-options.js";

/** What the parts of one ZeroMQ plane share. */
export interface ZmqContext extends EventPlaneContext {
	readonly zmq: Zmq;
	readonly sockets: Context;
	/** `topic`, `side`: publisher or subscriber. */
	readonly droppedEvents: Counter;
	/** `topic`. */
	readonly invalidMessages: Counter;
}

/** @throws DynError UNIMPLEMENTED when zeromq is not installed */
export async function createZmqContext(context: EventPlaneContext): Promise<ZmqContext> {
	const zmq = await loadZmq();
	return {
		...context,
		zmq,
		sockets: new zmq.Context({ maxSockets: MAX_SOCKETS }),
		droppedEvents: context.metrics.counter({
			name: "dyn_event_plane_dropped_total",
			help: "Events that were dropped because they were not sent or not read in time",
			labels: ["topic", "side"],
		}),
		invalidMessages: context.metrics.counter({
			name: "dyn_event_plane_invalid_total",
			help: "Messages that were skipped because they are no events",
			labels: ["topic"],
		}),
	};
}
