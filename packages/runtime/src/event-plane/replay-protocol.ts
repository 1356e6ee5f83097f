// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

// An extension of this project, by which a subscriber asks a publisher for events that did not come.
// Request: version, u8 = 1 | publisher id, u64 BE | first sequence, u64 BE | last sequence, u64 BE.
// Reply: version, u8 = 1 | publisher id, u64 BE | the first sequence that it says nothing of, u64 BE: the publisher's next, or
// where the reply was full. Before that, what the publisher still has follows in order, and what does not follow is lost.
// ZeroMQ: to a ROUTER that the channel's config names as `replay_endpoint`, which Dynamo's subscribers skip; a frame for the
// request, a frame for the head of the reply, and a frame for each event as it was published.
// NATS: to the subject `dyn.replay.<publisher id, hex>`, where nobody answers for Dynamo's publishers; after the head of the
// reply, length, u32 BE | envelope, for each event.

const VERSION = 1;
const REQUEST_BYTES = 25;
/** Length of the head of a reply. */
export const REPLY_BYTES = 17;

export interface ReplayRequest {
	readonly publisherId: bigint;
	readonly from: bigint;
	/** Included. */
	readonly to: bigint;
}

export function encodeReplayRequest({ publisherId, from, to }: ReplayRequest): Buffer {
	return encode([publisherId, from, to]);
}

/** @throws DynError INVALID_ARGUMENT */
export function decodeReplayRequest(bytes: Buffer): ReplayRequest {
	check(bytes, REQUEST_BYTES, "request");
	return {
		publisherId: bytes.readBigUInt64BE(1),
		from: bytes.readBigUInt64BE(9),
		to: bytes.readBigUInt64BE(17),
	};
}

export function encodeReplayReply(publisherId: bigint, next: bigint): Buffer {
	return encode([publisherId, next]);
}

/** @throws DynError INVALID_ARGUMENT */
export function decodeReplayReply(bytes: Buffer): { readonly publisherId: bigint; readonly next: bigint } {
	check(bytes, REPLY_BYTES, "reply");
	return { publisherId: bytes.readBigUInt64BE(1), next: bytes.readBigUInt64BE(9) };
}

function encode(numbers: readonly bigint[]): Buffer {
	const bytes = Buffer.alloc(1 + 8 * numbers.length);
	bytes[0] = VERSION;
	for (const [i, number] of numbers.entries()) bytes.writeBigUInt64BE(number, 1 + 8 * i);
	return bytes;
}

function check(bytes: Buffer, length: number, what: string): void {
	if (bytes.length !== length || bytes[0] !== VERSION)
		throw new DynError("INVALID_ARGUMENT", `a replay ${what} must be ${length} bytes of version ${VERSION}`);
}
