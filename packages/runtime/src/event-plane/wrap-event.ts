// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import type { EventEnvelope } from "./envelope.js";

/** One event on its way out, published now; null, with a word in the log, when its payload cannot be encoded. */
export function wrapEvent(
	{ publisherId, sequence, topic }: Pick<EventEnvelope, "publisherId" | "sequence" | "topic">,
	payload: unknown,
	logger: Logger,
): EventEnvelope | null {
	try {
		return { publisherId, sequence, publishedAtMs: Date.now(), topic, payload: encodeMsgpack(payload) };
	} catch (error) {
		logger.error("an event cannot be encoded and is dropped", { topic, error });
		return null;
	}
}
