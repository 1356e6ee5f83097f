// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import type { Server, Socket } from "node:net";
import { DynError } from "@dyn/common";
import { PlainData } from "@dyn/protocols/dynamo";
import { ByteQueue } from "./byte-queue.js";
import { ItemStream } from "./item-stream.js";
import { formatHostPort, listen } from "./listen.js";
import { Sockets } from "./sockets.js";
import { unwrapItem } from "./stream-item.js";
import { encodeTwoPart, type TwoPart, takeTwoPart } from "./two-part.js";
import { decodeBody, type WireFormat } from "./wire-format.js";

/** Time for a worker that connected to say which answer it brings, ms. */
const HANDSHAKE_MS = 10_000;
const KILL = encodeTwoPart(Buffer.from('"kill"'), null);

/** An answer that was asked for: where the worker finds its reader, and the reader's end. */
export interface ExpectedResponse {
	readonly address: string;
	readonly subject: string;
	/** Items of the answer. */
	readonly items: ItemStream<unknown, unknown>;
	/** The worker took the request: from now on it has a while to connect, else the answer fails as disconnected. */
	accepted(): void;
	/** Nobody will bring it: the call failed before. */
	abandon(): void;
	/** Ends it with `error` and tells the worker to stop. */
	kill(error: DynError): void;
}

/**
 * Where workers connect to bring their answers ("call home", one connection each): handshake, prologue, items, a last
 * `complete_final`. The only word that goes the other way is "kill".
 */
export class ResponseListener {
	readonly #host: string;
	readonly #port: number;
	readonly #expected = new Map<string, Response>();
	readonly #sockets: Sockets;
	readonly #open = new Set<Socket>();
	#server: Promise<{ readonly server: Server; readonly address: string }> | null = null;

	/** @param host numeric address that workers can connect to */
	constructor(host: string, port: number, sockets: Sockets = new Sockets()) {
		this.#host = host;
		this.#port = port;
		this.#sockets = sockets;
	}

	async expect(format: WireFormat): Promise<ExpectedResponse> {
		this.#server ??= this.#listen();
		const { address } = await this.#server;
		const subject = randomUUID();
		const response = new Response(format, address, subject, () => this.#expected.delete(subject));
		this.#expected.set(subject, response);
		return response;
	}

	async close(): Promise<void> {
		const gone = new DynError("UNAVAILABLE", "the request plane was closed");
		for (const response of this.#expected.values()) response.kill(gone);
		for (const socket of this.#open) socket.destroy();
		const listening = await this.#server?.catch(() => null);
		if (listening) await new Promise<void>((resolve) => listening.server.close(() => resolve()));
	}

	async #listen() {
		const server = this.#sockets.createServer((socket) => this.#accept(socket));
		const port = await listen(server, this.#host, this.#port);
		server.unref();
		return { server, address: formatHostPort(this.#host, port) };
	}

	#accept(socket: Socket): void {
		const queue = new ByteQueue();
		let response: Response | null = null;
		const late = setTimeout(() => socket.destroy(), HANDSHAKE_MS).unref();
		this.#open.add(socket);
		socket.on("error", () => {}); // "close" follows and says it
		socket.on("close", () => {
			clearTimeout(late);
			this.#open.delete(socket);
			response?.disconnected();
		});
		socket.on("data", (chunk) => {
			queue.push(chunk);
			try {
				for (let frame = takeTwoPart(queue); frame; frame = takeTwoPart(queue)) {
					if (response) response.receive(frame);
					else {
						clearTimeout(late);
						response = this.#introduce(frame);
						if (!response?.connect(socket)) return void socket.destroy();
					}
				}
			} catch (error) {
				if (response) response.kill(DynError.from(error));
				else socket.destroy();
			}
		});
	}

	#introduce({ header }: TwoPart): Response | null {
		const handshake = new PlainData(decodeBody(header, "json"), "handshake");
		return this.#expected.get(handshake.string("subject") ?? "") ?? null;
	}
}

class Response implements ExpectedResponse {
	readonly address: string;
	readonly subject: string;
	readonly items: ItemStream<unknown, unknown>;
	readonly #format: WireFormat;
	readonly #forget: () => void;
	#socket: Socket | null = null;
	#late: NodeJS.Timeout | undefined;
	#hasPrologue = false;

	constructor(format: WireFormat, address: string, subject: string, forget: () => void) {
		this.#format = format;
		this.address = address;
		this.subject = subject;
		this.#forget = forget;
		this.items = new ItemStream<unknown, unknown>({
			open: (item) => item,
			pause: () => this.#socket?.pause(),
			resume: () => this.#socket?.resume(),
			leave: () => this.#hangUp(KILL),
		});
	}

	accepted(): void {
		if (this.#socket || this.items.ended) return;
		this.#late = setTimeout(() => {
			this.#forget();
			this.items.fail(
				new DynError("DISCONNECTED", `the worker did not bring its answer within ${HANDSHAKE_MS} ms`),
			);
		}, HANDSHAKE_MS).unref();
	}

	abandon(): void {
		clearTimeout(this.#late);
		this.#forget();
	}

	/** False when another connection brought the same subject before. */
	connect(socket: Socket): boolean {
		if (this.#socket) return false;
		this.#socket = socket;
		clearTimeout(this.#late);
		if (this.items.ended) this.#hangUp(KILL); // the reader left while the worker was on its way
		return true;
	}

	receive({ header, body }: TwoPart): void {
		if (!this.#hasPrologue) this.#receivePrologue(header);
		else {
			if (body.length > 0) this.#receiveItem(body);
			if (header.length > 0) this.#hangUp(null); // "sentinel": nothing follows
		}
	}

	kill(error: DynError): void {
		this.items.fail(error);
		this.#hangUp(KILL);
	}

	disconnected(): void {
		this.#forget();
		if (this.items.ended) return;
		this.items.fail(
			new DynError("DISCONNECTED", "the worker's connection broke before its answer was complete"),
		);
	}

	#receivePrologue(header: Buffer): void {
		this.#hasPrologue = true;
		const prologue = new PlainData(decodeBody(header, "json"), "prologue");
		const error = prologue.raw("error");
		if (error === null) return;
		this.items.fail(
			prologue.has("typed_error")
				? unwrapError(prologue.raw("typed_error"))
				: new DynError("UNAVAILABLE", `the worker could not begin: ${String(error)}`),
		);
		this.#hangUp(null);
	}

	#receiveItem(body: Buffer): void {
		if (this.items.ended) return;
		try {
			const received = unwrapItem(decodeBody(body, this.#format));
			if (received.kind === "item") this.items.push(received.item);
			else if (received.kind === "end") this.items.complete();
		} catch (error) {
			this.items.fail(error);
		}
	}

	#hangUp(word: Buffer | null): void {
		this.#forget();
		if (word) this.#socket?.end(word);
		else this.#socket?.end();
		this.#socket?.resume();
	}
}

function unwrapError(typed: unknown): unknown {
	try {
		unwrapItem({ data: { error: typed } });
		return new DynError("UNAVAILABLE", "the worker could not begin");
	} catch (error) {
		return error;
	}
}
