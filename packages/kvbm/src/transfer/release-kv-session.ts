// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:net";
import type { KvSession } from "@dyn/protocols";
import { ANSWER_BYTES, BACKEND, ByteReader, encodeAsk, NO_BLOCK, PROTOCOL } from "./frames.js";

/** Time for the holder to hear of it, ms: its own deadline is the safety net. */
const TIMEOUT_MS = 2000;

/**
 * Tells the holder of a session's KV blocks that nobody will collect them, so that it need not wait for its deadline.
 * Nothing happens for sessions of other transfers, and for one that is over. Never rejects.
 */
export async function releaseKvSession(session: KvSession): Promise<void> {
	const endpoint = session.endpoints.find(({ protocol }) => protocol === PROTOCOL);
	if (session.transferBackend !== BACKEND || !endpoint) return;
	const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
	socket.unref().setTimeout(TIMEOUT_MS, () => socket.destroy());
	socket.on("error", () => {}); // the reader hears of it
	try {
		socket.write(encodeAsk(session.sessionId, NO_BLOCK));
		await new ByteReader(socket).read(ANSWER_BYTES);
		await new Promise<void>((resolve) => socket.end(Buffer.from([1]), resolve));
	} catch {
		// Out of reach, so it is over or ends by itself.
	} finally {
		socket.destroy();
	}
}
