// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import { decodeEnvelope, openEnvelope, type UncountedEvent } from "../event-plane/envelope.js";
import { NEWEST, type Repaired } from "../event-plane/gap-repair.js";
import type { ReplayBuffer } from "../event-plane/replay-buffer.js";
import {
	decodeReplayReply,
	decodeReplayRequest,
	encodeReplayReply,
	encodeReplayRequest,
	REPLY_BYTES,
	type ReplayRequest,
} from "../event-plane/replay-protocol.js";
import type { NatsLink } from "./nats-link.js";

/** Where the events of a publisher can be asked for. */
export function replaySubject(publisherId: bigint): string {
	return `dyn.replay.${publisherId.toString(16)}`;
}

/**
 * What a publisher answers: as much as one message takes.
 * @throws DynError INVALID_ARGUMENT when `question` is none, or for somebody else
 */
export function answerReplay(
	question: Uint8Array,
	publisherId: bigint,
	kept: ReplayBuffer,
	maxBytes: number,
): Uint8Array {
	const { from, to, ...asked } = decodeReplayRequest(view(question));
	if (asked.publisherId !== publisherId)
		throw new DynError("INVALID_ARGUMENT", `publisher ${publisherId} was asked for ${asked.publisherId}`);
	const parts: Uint8Array[] = [];
	let size = REPLY_BYTES;
	for (const envelope of kept.range(from, to)) {
		if (size + 4 + envelope.length > maxBytes) {
			// One that does not even fit alone is passed over, else it would be asked for again and again.
			const { sequence } = decodeEnvelope(envelope);
			const next = parts.length === 0 ? sequence + 1n : sequence;
			return Buffer.concat([encodeReplayReply(publisherId, next), ...parts]);
		}
		const length = Buffer.allocUnsafe(4);
		length.writeUInt32BE(envelope.length);
		parts.push(length, envelope);
		size += 4 + envelope.length;
	}
	return Buffer.concat([encodeReplayReply(publisherId, kept.next), ...parts]);
}

/** Asks a publisher for events that did not come. Never rejects: what is not answered is lost. */
export async function requestReplay(
	nats: NatsLink,
	request: ReplayRequest,
	signal: AbortSignal,
	logger: Logger,
): Promise<Repaired<UncountedEvent>> {
	const { publisherId, from, to } = request;
	try {
		const question = encodeReplayRequest(request);
		const answer = view(await nats.request(replaySubject(publisherId), question, {}, signal));
		const { next } = decodeReplayReply(answer.subarray(0, REPLY_BYTES));
		const events = [...envelopesOf(answer)].map((bytes) => openEnvelope(decodeEnvelope(bytes)));
		if (events.some((each) => each.publisherId !== publisherId || each.sequence < from || each.sequence > to))
			throw new DynError("INVALID_ARGUMENT", "the answer is to another question");
		return { events, settled: to < next ? to : next - 1n };
	} catch (error) {
		// Publishers that keep nothing, Dynamo's among them, answer nothing. Whether "all there is" is lost, the next event tells.
		logger.debug("missed events cannot be asked for and are lost", { publisherId, from, to, error });
		return { events: [], settled: to === NEWEST ? from - 1n : to };
	}
}

/** @throws RangeError when the last one is cut off */
function* envelopesOf(answer: Buffer): Generator<Buffer, void> {
	for (let at = REPLY_BYTES; at < answer.length; ) {
		const end = at + 4 + answer.readUInt32BE(at);
		yield answer.subarray(at + 4, end);
		at = end;
	}
}

function view(bytes: Uint8Array): Buffer {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
