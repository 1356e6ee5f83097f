// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { PlainData } from "@dyn/protocols/dynamo";
import { decodeMsgpack, encodeMsgpack } from "@dyn/protocols/msgpack";
import type { ReceivedEvent } from "./event-plane.js";

/** What every event plane carries: one event of one publisher, with its payload still encoded. */
export interface EventEnvelope {
	/** u64. */
	readonly publisherId: bigint;
	/** u64, from 0 per publisher. */
	readonly sequence: bigint;
	/** Publisher's wall clock, ms since the epoch. */
	readonly publishedAtMs: number;
	/** The bare topic, without the scope. */
	readonly topic: string;
	/** MessagePack. */
	readonly payload: Uint8Array;
}

/** An event before it is known how many were lost before it. */
export type UncountedEvent = Omit<ReceivedEvent, "missed">;

/** Dynamo's EventEnvelope: a MessagePack map of five fields in this order. */
export function encodeEnvelope(envelope: EventEnvelope): Uint8Array {
	return encodeMsgpack({
		publisher_id: envelope.publisherId,
		sequence: envelope.sequence,
		published_at: envelope.publishedAtMs,
		topic: envelope.topic,
		payload: envelope.payload,
	});
}

/**
 * Fields in any order; unknown ones are skipped. `payload` is a view into `bytes`.
 * @throws DynError INVALID_ARGUMENT, RangeError for what is no envelope
 */
export function decodeEnvelope(bytes: Uint8Array): EventEnvelope {
	const fields = new PlainData(decodeMsgpack(bytes), "envelope");
	const payload = fields.raw("payload");
	if (!(payload instanceof Uint8Array))
		throw new DynError("INVALID_ARGUMENT", "envelope.payload must be binary");
	return {
		publisherId: unsigned(fields, "publisher_id"),
		sequence: unsigned(fields, "sequence"),
		publishedAtMs: Number(unsigned(fields, "published_at")),
		topic: fields.required("topic", fields.string("topic")),
		payload,
	};
}

/** @throws RangeError when the payload is no MessagePack */
export function openEnvelope({
	publisherId,
	sequence,
	publishedAtMs,
	payload,
}: EventEnvelope): UncountedEvent {
	return { publisherId, sequence, publishedAtMs, payload: decodeMsgpack(payload) };
}

function unsigned(fields: PlainData, name: string): bigint {
	const value = fields.required(name, fields.integer(name));
	if (value < 0n) throw new DynError("INVALID_ARGUMENT", `envelope.${name} must not be negative`);
	return value;
}
