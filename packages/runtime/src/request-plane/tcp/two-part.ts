// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ByteQueue } from "./byte-queue.js";

// Dynamo's TwoPart message: u64 header length, u64 body length, u64 checksum (0 = none), header, body; big-endian.

const PREFIX = 24;
/** Larger frames are refused: the other side is not what it says. 32 MiB is Dynamo's own limit for requests. */
export const MAX_FRAME_BYTES: number = 64 * 2 ** 20;

export interface TwoPart {
	/** Control data, JSON; empty in a data frame. */
	readonly header: Buffer;
	readonly body: Buffer;
}

export function encodeTwoPart(header: Uint8Array | null, body: Uint8Array | null): Buffer {
	const headerLength = header?.length ?? 0;
	const bodyLength = body?.length ?? 0;
	const frame = Buffer.allocUnsafe(PREFIX + headerLength + bodyLength).fill(0, 0, PREFIX);
	frame.writeUInt32BE(headerLength, 4);
	frame.writeUInt32BE(bodyLength, 12);
	if (header) frame.set(header, PREFIX);
	if (body) frame.set(body, PREFIX + headerLength);
	return frame;
}

/**
 * Takes one frame off the queue; null while it is not there in whole. The checksum is not looked at: release builds of
 * Dynamo write 0.
 * @throws DynError DISCONNECTED when the lengths are beyond reason; the connection cannot be used any more
 */
export function takeTwoPart(queue: ByteQueue): TwoPart | null {
	if (queue.length < PREFIX) return null;
	const headerLength = uint64At(queue, 0);
	const bodyLength = uint64At(queue, 8);
	if (headerLength + bodyLength > MAX_FRAME_BYTES)
		throw new DynError("DISCONNECTED", `a frame of ${headerLength + bodyLength} bytes is no frame`);
	if (queue.length < PREFIX + headerLength + bodyLength) return null;
	queue.skip(PREFIX);
	return { header: queue.take(headerLength)!, body: queue.take(bodyLength)! };
}

/** Inexact beyond 2^53, where it is refused anyway. */
function uint64At(queue: ByteQueue, offset: number): number {
	return queue.uint32At(offset)! * 2 ** 32 + queue.uint32At(offset + 4)!;
}
