// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { Router } from "zeromq";
import type { ReplayBuffer } from "../replay-buffer.js";
import { decodeReplayRequest, encodeReplayReply } from "../replay-protocol.js";
import { bindSocket } from "./attach-socket.js";
import { KEEP_ALIVE, usesIpv6 } from "./socket-options.js";
import type { ZmqContext } from "./zmq-context.js";

/** Answers subscribers who missed events of one publisher, one after the other. */
export class ReplayServer {
	readonly endpoint: string;
	readonly #socket: Router;
	readonly #publisherId: bigint;
	readonly #kept: ReplayBuffer;
	readonly #logger: Logger;

	private constructor(
		socket: Router,
		endpoint: string,
		publisherId: bigint,
		kept: ReplayBuffer,
		logger: Logger,
	) {
		this.#socket = socket;
		this.endpoint = endpoint;
		this.#publisherId = publisherId;
		this.#kept = kept;
		this.#logger = logger;
		this.#serve().catch((error) => logger.error("missed events cannot be asked for any more", { error }));
	}

	/**
	 * @param url where to listen, as in `tcp://127.0.0.1:*`
	 * @throws DynError INVALID_ARGUMENT when it cannot
	 */
	static async open(
		{ zmq, sockets, logger }: ZmqContext,
		url: string,
		publisherId: bigint,
		kept: ReplayBuffer,
	): Promise<ReplayServer> {
		const socket = new zmq.Router({ context: sockets, linger: 0, ipv6: usesIpv6(url), ...KEEP_ALIVE });
		return new ReplayServer(socket, await bindSocket(socket, url), publisherId, kept, logger);
	}

	close(): void {
		this.#socket.close();
	}

	async #serve(): Promise<void> {
		for await (const [peer, body] of this.#socket) {
			try {
				const { publisherId, from, to } = decodeReplayRequest(body ?? Buffer.alloc(0));
				if (publisherId !== this.#publisherId) continue; // meant for whoever had this port before
				const head = encodeReplayReply(publisherId, this.#kept.next);
				await this.#socket.send([peer!, head, ...this.#kept.range(from, to)]);
			} catch (error) {
				this.#logger.debug("a replay request cannot be answered", { error });
			}
		}
	}
}
