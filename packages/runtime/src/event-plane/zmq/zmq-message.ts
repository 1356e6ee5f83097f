// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { decodeEnvelope, type EventEnvelope, encodeEnvelope } from "../envelope.js";

// Dynamo's messages: topic | publisher id, u64 BE | sequence, u64 BE | frame.
// A frame: version, u8 = 1 | length of the envelope in bytes, u32 BE | envelope.

const VERSION = 1;
const HEADER_BYTES = 5;

/** One message, as the frames of a multipart message. */
export type ZmqMessage = readonly [
	topic: Uint8Array,
	publisherId: Uint8Array,
	sequence: Uint8Array,
	frame: Uint8Array,
];

export function encodeFrame(envelope: EventEnvelope): Buffer {
	const bytes = encodeEnvelope(envelope);
	const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
	frame[0] = VERSION;
	frame.writeUInt32BE(bytes.length, 1);
	frame.set(bytes, HEADER_BYTES);
	return frame;
}

/** @throws DynError INVALID_ARGUMENT, RangeError */
export function decodeFrame(frame: Buffer): EventEnvelope {
	if (frame.length < HEADER_BYTES || frame[0] !== VERSION)
		throw new DynError("INVALID_ARGUMENT", `an event frame must begin with version ${VERSION}`);
	if (frame.readUInt32BE(1) !== frame.length - HEADER_BYTES)
		throw new DynError("INVALID_ARGUMENT", "an event frame must be as long as it says");
	return decodeEnvelope(frame.subarray(HEADER_BYTES));
}

/**
 * @param topic the bare topic between publisher and subscriber, the full subject through a broker
 * @param frame of the same publisher and sequence
 */
export function encodeMessage(
	topic: Buffer,
	publisherId: bigint,
	sequence: bigint,
	frame: Buffer,
): ZmqMessage {
	return [topic, encodeU64(publisherId), encodeU64(sequence), frame];
}

/** @throws DynError INVALID_ARGUMENT, RangeError for anything but four frames that agree with each other */
export function decodeMessage(frames: readonly Buffer[]): {
	readonly topic: string;
	readonly envelope: EventEnvelope;
} {
	const [topic, publisherId, sequence, frame] = frames;
	if (frames.length !== 4 || publisherId!.length !== 8 || sequence!.length !== 8)
		throw new DynError(
			"INVALID_ARGUMENT",
			"an event must be four frames: topic, publisher, sequence, envelope",
		);
	const envelope = decodeFrame(frame!);
	if (
		envelope.publisherId !== publisherId!.readBigUInt64BE() ||
		envelope.sequence !== sequence!.readBigUInt64BE()
	)
		throw new DynError("INVALID_ARGUMENT", "an event's frames must agree with its envelope");
	return { topic: topic!.toString(), envelope };
}

function encodeU64(value: bigint): Buffer {
	const bytes = Buffer.allocUnsafe(8);
	bytes.writeBigUInt64BE(value);
	return bytes;
}
