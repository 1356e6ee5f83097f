// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { DynError, type Logger, silentLogger } from "@dyn/common";
import type { KvEndpoint, KvSession } from "@dyn/protocols";
import {
	ANSWER_BYTES,
	ASK_HEAD_BYTES,
	BACKEND,
	ByteReader,
	encodeAnswer,
	encodeAsk,
	MAGIC,
	MAX_SESSION_ID,
	NO_SUCH_SESSION,
	PROTOCOL,
} from "./frames.js";
import type { KvOffer, KvOfferOptions, KvTransferAgent } from "./kv-transfer-agent.js";
import { Offers } from "./offers.js";

export interface TcpKvTransferOptions {
	/** Address to listen at. Default 127.0.0.1: other machines need one that they reach. */
	readonly host?: string | undefined;
	/** Default 0: any free one. */
	readonly port?: number | undefined;
	/** Address that sessions name, when it is not `host` (0.0.0.0, port forwarding). */
	readonly advertisedHost?: string | undefined;
	/** Silence of the other side after which a transfer has failed, ms. Default 10,000. */
	readonly idleMs?: number | undefined;
	readonly logger?: Logger | undefined;
}

/** KV blocks over plain TCP: works everywhere. Unencrypted; the session id (make it random) is what gives access. */
export async function createTcpKvTransfer(options: TcpKvTransferOptions = {}): Promise<KvTransferAgent> {
	const server = createServer({ noDelay: true });
	const { host = "127.0.0.1", port = 0 } = options;
	server.listen(port, host);
	await once(server, "listening").catch((error) => {
		throw new DynError("UNAVAILABLE", `KV transfer cannot listen at ${host}:${port}: ${error.message}`, {
			cause: error,
		});
	});
	return new TcpKvTransfer(server, options);
}

class TcpKvTransfer implements KvTransferAgent {
	readonly backend = BACKEND;
	readonly endpoints: readonly KvEndpoint[];
	readonly #server: Server;
	readonly #idleMs: number;
	readonly #logger: Logger;
	readonly #offers = new Offers();
	readonly #sockets = new Set<Socket>();
	#closing: Promise<void> | null = null;

	constructor(
		server: Server,
		{ host = "127.0.0.1", advertisedHost, idleMs = 10_000, logger }: TcpKvTransferOptions,
	) {
		this.#server = server;
		this.#idleMs = idleMs;
		this.#logger = logger ?? silentLogger;
		const { port } = server.address() as { port: number };
		this.endpoints = [{ host: advertisedHost ?? host, port, protocol: PROTOCOL }];
		server.on("connection", (socket) => void this.#serve(socket));
	}

	get offered(): number {
		return this.#offers.size;
	}

	offer(sessionId: string, offer: KvOffer, options: KvOfferOptions): void {
		if (this.#closing) throw new DynError("UNAVAILABLE", "KV transfer is closed");
		this.#offers.add(sessionId, offer, options);
	}

	withdraw(sessionId: string): void {
		this.#offers.end(sessionId);
	}

	async *pull(
		session: KvSession,
		{ firstBlock, blockBytes, signal }: Parameters<KvTransferAgent["pull"]>[1],
	): AsyncGenerator<Uint8Array, void> {
		signal.throwIfAborted();
		const endpoint = session.endpoints.find(({ protocol }) => protocol === PROTOCOL);
		if (!endpoint)
			throw new DynError(
				"INVALID_ARGUMENT",
				`session ${session.sessionId} has no endpoint that speaks ${PROTOCOL}`,
			);
		const socket = this.#track(connect({ host: endpoint.host, port: endpoint.port, noDelay: true }));
		const abort = () => socket.destroy();
		signal.addEventListener("abort", abort, { once: true });
		try {
			socket.write(encodeAsk(session.sessionId, firstBlock));
			const reader = new ByteReader(socket);
			const answer = await reader.read(ANSWER_BYTES);
			const [numBlocks, theirBytes] = [answer.readUInt32LE(0), answer.readUInt32LE(4)];
			if (numBlocks === NO_SUCH_SESSION)
				throw new DynError(
					"NOT_FOUND",
					`the KV blocks of session ${session.sessionId} are gone; prefill again`,
				);
			if (theirBytes !== blockBytes)
				throw new DynError(
					"INVALID_ARGUMENT",
					`a KV block has ${theirBytes} bytes there and ${blockBytes} here; both workers need the same model and precision`,
				);
			for (let block = firstBlock; block < numBlocks; block++) yield await reader.read(blockBytes);
			socket.end(Buffer.from([1]));
		} catch (error) {
			signal.throwIfAborted();
			throw DynError.is(error)
				? error
				: new DynError(
						"DISCONNECTED",
						`the KV blocks of session ${session.sessionId} cannot be fetched from ${endpoint.host}:${endpoint.port}: ${(error as Error).message}`,
						{ cause: error },
					);
		} finally {
			signal.removeEventListener("abort", abort);
			if (!socket.writableEnded) socket.destroy();
		}
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close(): Promise<void> {
		this.#offers.endAll();
		for (const socket of this.#sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	async #serve(socket: Socket): Promise<void> {
		this.#track(socket);
		try {
			const reader = new ByteReader(socket);
			const head = await reader.read(ASK_HEAD_BYTES);
			const length = head.readUInt16LE(8);
			if (head.readUInt32LE(0) !== MAGIC || length > MAX_SESSION_ID) return;
			const sessionId = (await reader.read(length)).toString();
			const offer = this.#offers.get(sessionId);
			if (!offer) {
				socket.end(encodeAnswer(NO_SUCH_SESSION, 0));
				return;
			}
			socket.write(encodeAnswer(offer.numBlocks, offer.blockBytes));
			for (let block = head.readUInt32LE(4); block < offer.numBlocks; block++) {
				if (this.#offers.get(sessionId) !== offer) return; // its time is over
				// A copy: the block may be gone when the socket gets to it.
				if (!socket.write(Buffer.from(offer.read(block)))) await drained(socket);
			}
			const [done] = await reader.read(1);
			if (done === 1) this.#offers.end(sessionId);
		} catch (error) {
			this.#logger.debug("a transfer of KV blocks ended early", { error });
		} finally {
			if (!socket.writableEnded) socket.destroy();
		}
	}

	#track(socket: Socket): Socket {
		this.#sockets.add(socket);
		socket.setTimeout(this.#idleMs, () =>
			socket.destroy(new Error(`nothing was heard for ${this.#idleMs} ms`)),
		);
		socket.on("error", () => {}); // whoever reads or writes hears of it
		socket.once("close", () => this.#sockets.delete(socket));
		return socket;
	}
}

/** @throws Error when the socket closes instead */
async function drained(socket: Socket): Promise<void> {
	const closed = new AbortController();
	const onClose = () => closed.abort(new Error("the connection was closed"));
	socket.once("close", onClose);
	try {
		if (socket.destroyed) onClose();
		await once(socket, "drain", { signal: closed.signal });
	} finally {
		socket.off("close", onClose);
	}
}
