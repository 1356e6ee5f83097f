// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { openEnvelope, type UncountedEvent } from "../envelope.js";
import type { Repaired } from "../gap-repair.js";
import { decodeReplayReply, encodeReplayRequest, type ReplayRequest } from "../replay-protocol.js";
import { KEEP_ALIVE, MAX_MESSAGE_BYTES, usesIpv6 } from "./socket-options.js";
import type { ZmqContext } from "./zmq-context.js";
import { decodeFrame } from "./zmq-message.js";

/** How long a publisher may take to answer, ms. */
const TIMEOUT_MS = 2000;

/** Asks a publisher for events that did not come. Never rejects: what is not answered is lost. */
export async function requestReplay(
	context: ZmqContext,
	endpoint: string,
	request: ReplayRequest,
	signal: AbortSignal,
): Promise<Repaired<UncountedEvent>> {
	try {
		const [head, ...frames] = await ask(context, endpoint, encodeReplayRequest(request), signal);
		const { next } = decodeReplayReply(head!);
		const events = frames.map((frame) => openEnvelope(decodeFrame(frame)));
		if (!events.every((event) => isIn(event, request)))
			throw new DynError("INVALID_ARGUMENT", "the answer is to another question");
		return { events, settled: request.to < next ? request.to : next - 1n };
	} catch (error) {
		const { logger } = context;
		if (!signal.aborted) logger.warn("missed events cannot be asked for and are lost", { endpoint, error });
		return { events: [], settled: request.to };
	}
}

async function ask(
	{ zmq, sockets }: ZmqContext,
	endpoint: string,
	question: Buffer,
	signal: AbortSignal,
): Promise<Buffer[]> {
	signal.throwIfAborted();
	const socket = new zmq.Dealer({
		context: sockets,
		linger: 0,
		receiveTimeout: TIMEOUT_MS,
		maxMessageSize: MAX_MESSAGE_BYTES,
		ipv6: usesIpv6(endpoint),
		...KEEP_ALIVE,
	});
	const close = () => socket.close();
	signal.addEventListener("abort", close, { once: true });
	try {
		socket.connect(endpoint);
		await socket.send(question);
		return await socket.receive();
	} finally {
		signal.removeEventListener("abort", close);
		socket.close();
	}
}

function isIn({ publisherId, sequence }: UncountedEvent, request: ReplayRequest): boolean {
	return publisherId === request.publisherId && sequence >= request.from && sequence <= request.to;
}
