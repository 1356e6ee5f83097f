// SPDX-License-Identifier: Apache-2.0
import { connect, type Socket } from "node:net";
import { BodySender } from "./body-sender.js";
import { FrameReader } from "./frame-reader.js";
import { CONNECTION_WINDOW_BYTES, FrameReceiver } from "./frame-receiver.js";
import {
	DEFAULT_WINDOW_BYTES,
	FrameType,
	goAwayFrame,
	Http2Code,
	numberFrame,
	PREFACE,
	ProtocolError,
	pingFrame,
	SettingId,
	settingsFrame,
} from "./frames.js";
import { MAX_HEADER_LIST_BYTES } from "./hpack/header-decoder.js";
import type { Header } from "./hpack/static-table.js";
import { Keepalive, type KeepaliveOptions } from "./keepalive.js";
import { Outbox } from "./outbox.js";
import { PeerSettings } from "./peer-settings.js";
import { type Http2Stream, STREAM_WINDOW_BYTES, type StreamHandler } from "./stream.js";
import { StreamTable } from "./stream-table.js";

const READ_BYTES = 2 ** 16;
const PING = Buffer.from("dyn.ping", "latin1");

export interface Http2ConnectionOptions extends KeepaliveOptions {
	readonly host: string;
	readonly port: number;
	/** Until the server has said its settings, ms. */
	readonly connectTimeoutMs: number;
}

/**
 * The client's end of a plaintext HTTP/2 connection (RFC 9113). All frames of one read are handled at once, and what they
 * bring about goes out in one write. Whatever the server does, it cannot take more memory than its windows, one header
 * list and its unread answers; a server that breaks the protocol loses the connection. A connection without streams does
 * not keep the process alive.
 */
export class Http2Connection {
	/** Resolves when the server takes streams; rejects when it is gone before. */
	readonly ready: Promise<void>;
	readonly #socket: Socket;
	readonly #outbox: Outbox;
	readonly #frames: FrameReader;
	readonly #keepalive: Keepalive;
	readonly #streams: StreamTable;
	readonly #connectTimer: NodeJS.Timeout;
	#onReady: () => void = () => {};
	#onFailed: (error: Error) => void = () => {};
	#isClosed = false;
	#isPestered = false;

	constructor(options: Http2ConnectionOptions) {
		this.ready = new Promise((resolve, reject) => {
			this.#onReady = resolve;
			this.#onFailed = reject;
		});
		this.ready.catch(() => {}); // who waits for it hears of it
		this.#socket = connect({
			host: options.host,
			port: options.port,
			noDelay: true,
			onread: {
				// One buffer for all reads: nothing keeps a view of it.
				buffer: Buffer.allocUnsafe(READ_BYTES),
				callback: (length, bytes) => this.#read(bytes as Buffer, length),
			},
		});
		this.#outbox = new Outbox(this.#socket);
		const settings = new PeerSettings();
		const bodies = new BodySender(this.#outbox, settings);
		this.#streams = new StreamTable(this.#outbox, settings, bodies, (isBusy) => this.#setBusy(isBusy));
		const receiver = new FrameReceiver({
			...{ outbox: this.#outbox, settings, bodies, streams: this.#streams },
			onReady: () => this.#start(),
			onGoAway: (isPestered) => this.#leave(isPestered),
		});
		this.#frames = new FrameReader(receiver);
		// Of an address with several numbers, all of which refuse, the error has no message but a code.
		this.#socket.on("error", ({ message, code }: NodeJS.ErrnoException) => this.#close(message || `${code}`));
		this.#socket.on("close", () => this.#close("the server closed the connection"));
		this.#socket.on("drain", () => bodies.sendAll());
		this.#connectTimer = setTimeout(
			() => this.#close(`no HTTP/2 server answered within ${options.connectTimeoutMs} ms`),
			options.connectTimeoutMs,
		).unref();
		this.#keepalive = new Keepalive(
			options,
			() => this.#outbox.write(pingFrame(PING, false)),
			(silentMs) => this.#close(`the server was silent for ${Math.round(silentMs)} ms`),
		);
		this.#greet();
	}

	/** Whether it takes new streams. */
	get isUsable(): boolean {
		return !this.#isClosed && !this.#streams.isRetired;
	}

	get isClosed(): boolean {
		return this.#isClosed;
	}

	/** Whether the server closed it because it was asked for signs of life too often. */
	get isPestered(): boolean {
		return this.#isPestered;
	}

	/** Sends a request over a connection that is ready and usable; `handler` takes the answer, never before this returns. */
	request(headers: readonly Header[], body: Buffer, handler: StreamHandler): Http2Stream {
		return this.#streams.open(headers, body, handler);
	}

	/** Ends every stream. Idempotent. */
	close(): void {
		this.#close("the client is closed", Http2Code.NO_ERROR);
	}

	#greet(): void {
		this.#outbox.write(PREFACE);
		this.#outbox.write(
			settingsFrame([
				[SettingId.ENABLE_PUSH, 0],
				[SettingId.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
				[SettingId.MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_BYTES],
			]),
		);
		this.#outbox.write(
			numberFrame(FrameType.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES),
		);
	}

	/** @returns whether to go on reading */
	#read(buffer: Buffer, length: number): boolean {
		this.#keepalive.heard();
		try {
			this.#frames.read(buffer.subarray(0, length));
		} catch (error) {
			const code = error instanceof ProtocolError ? error.code : Http2Code.INTERNAL_ERROR;
			this.#close(`the server broke the HTTP/2 protocol: ${(error as Error).message}`, code);
		}
		return !this.#isClosed;
	}

	#start(): void {
		clearTimeout(this.#connectTimer);
		if (!this.#streams.isBusy) this.#socket.unref();
		this.#onReady();
	}

	#setBusy(isBusy: boolean): void {
		if (isBusy) {
			this.#socket.ref();
			return;
		}
		this.#socket.unref();
		if (this.#streams.isRetired) this.close();
	}

	/** The server takes no more streams. */
	#leave(isPestered: boolean): void {
		this.#isPestered ||= isPestered;
		if (!this.#streams.isBusy) this.close();
	}

	/** @param code said to the server, if there is one that listens */
	#close(reason: string, code: Http2Code | null = null): void {
		if (this.#isClosed) return;
		this.#isClosed = true;
		clearTimeout(this.#connectTimer);
		this.#keepalive.stop();
		this.#outbox.destroy(code === null ? null : goAwayFrame(code));
		this.#onFailed(new Error(reason));
		this.#streams.retire(0, { code: null, message: reason });
	}
}
