// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Zmq } from "@dyn/runtime/zmq";

/** How long the engine may take for each batch, ms. */
const TIMEOUT_MS = 2000;
const MAX_MESSAGE_BYTES = 64 * 2 ** 20;
/** A sequence of -1 ends the answer. */
const END = 0xffff_ffff_ffff_ffffn;

export interface ReplayedBatch {
	readonly sequence: bigint;
	readonly payload: Uint8Array;
}

/**
 * Asks an engine for batches that did not come (vLLM's protocol over a ROUTER socket: the first sequence wanted, 8 bytes
 * big-endian, is answered by every batch since that it still has).
 * @throws DynError UNAVAILABLE when it does not answer in time, INVALID_ARGUMENT for what is no answer
 */
export async function* requestReplay(
	zmq: Zmq,
	endpoint: string,
	from: bigint,
	signal: AbortSignal,
): AsyncGenerator<ReplayedBatch, void> {
	signal.throwIfAborted();
	const socket = new zmq.Dealer({
		linger: 0,
		receiveTimeout: TIMEOUT_MS,
		sendTimeout: TIMEOUT_MS,
		maxMessageSize: MAX_MESSAGE_BYTES,
		ipv6: endpoint.includes("["),
	});
	const close = () => socket.close();
	signal.addEventListener("abort", close, { once: true });
	try {
		socket.connect(endpoint);
		const start = Buffer.alloc(8);
		start.writeBigUInt64BE(from);
		// The engine expects a REQ socket, whose messages begin with an empty frame.
		await socket.send([Buffer.alloc(0), start]);
		for (;;) {
			const frames = await socket.receive();
			const [sequence, payload] = frames[0]?.length === 0 ? frames.slice(1) : frames;
			if (sequence?.length !== 8)
				throw new DynError("INVALID_ARGUMENT", `${endpoint} answers with what is no batch`);
			const number = sequence.readBigUInt64BE();
			if (number === END) return;
			if (payload) yield { sequence: number, payload };
		}
	} catch (error) {
		if (DynError.is(error, "INVALID_ARGUMENT")) throw error;
		throw new DynError("UNAVAILABLE", `${endpoint} does not replay KV events`, { cause: error });
	} finally {
		signal.removeEventListener("abort", close);
		socket.close();
	}
}
