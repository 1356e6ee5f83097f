// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import type { ByteQueue } from "../byte-queue.js";
import { MAX_FRAME_BYTES } from "../two-part.js";

// Many requests and their answers over one connection between peers of this project. A frame is u32 length of the rest,
// u8 kind, u32 stream id, payload; big-endian. The caller numbers the streams.

export const FrameKind = {
	/** Caller: {path, headers, request} in MessagePack. */
	REQUEST: 1,
	/** Worker: one item in MessagePack. */
	ITEM: 2,
	/** Worker: the answer is complete. */
	END: 3,
	/** Worker: the answer failed; JSON of the error. */
	ERROR: 4,
	/** Caller: nothing more is wanted. */
	CANCEL: 5,
	/** Caller: u32 bytes of items that it has read. */
	CREDIT: 6,
	PING: 7,
	PONG: 8,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** Bytes of items that may be on their way per stream before the reader has taken some. */
export const WINDOW_BYTES: number = 256 * 1024;
/** Silence after which the other side is asked for a sign of life, and after which it is taken for dead, ms. */
const PING_MS = 2000;
const DEAD_MS = 5000;
/** More than this does not wait. */
const FLUSH_BYTES = 64 * 1024;
const PREFIX = 9;
/** Cancellations that may wait for each other, as bytes of frames. */
const CANCEL_BYTES = 64 * PREFIX;

export interface MuxHandlers {
	/** @throws to end the connection: the other side does not speak the protocol */
	readonly onFrame: (kind: number, stream: number, payload: Buffer) => void;
	/** The connection is gone. Called once. */
	readonly onClose: (reason: string) => void;
}

/** One end of such a connection: frames in and out, those that one event brings about in one write, and heartbeats. */
export class MuxLink {
	readonly #socket: Socket;
	readonly #handlers: MuxHandlers;
	readonly #heartbeat: NodeJS.Timeout;
	#out: Buffer = Buffer.allocUnsafe(FLUSH_BYTES);
	#outLength = 0;
	#flushing = false;
	#soon: NodeJS.Immediate | undefined;
	#heardMs = performance.now();
	#reason: string | null = null;

	/** @param queue what came over the socket before and was not read */
	constructor(socket: Socket, queue: ByteQueue, handlers: MuxHandlers) {
		this.#socket = socket;
		this.#handlers = handlers;
		this.#heartbeat = setInterval(() => this.#checkLife(), PING_MS / 4).unref();
		socket.on("error", (error) => {
			this.#reason ??= error.message;
		});
		socket.on("close", () => {
			clearInterval(this.#heartbeat);
			this.#handlers.onClose(this.#reason ?? "the other side closed it");
		});
		socket.on("data", (chunk) => {
			this.#heardMs = performance.now();
			queue.push(chunk);
			this.#read(queue);
		});
		if (queue.length > 0) queueMicrotask(() => this.#read(queue));
	}

	/** Copies the payload. */
	send(kind: FrameKind, stream: number, payload: Uint8Array | null = null): void {
		if (this.#socket.destroyed) return;
		const size = payload?.length ?? 0;
		if (this.#outLength + PREFIX + size > this.#out.length) {
			this.#flush();
			if (PREFIX + size > this.#out.length) this.#out = Buffer.allocUnsafe(PREFIX + size);
		}
		this.#out.writeUInt32BE(PREFIX - 4 + size, this.#outLength);
		this.#out[this.#outLength + 4] = kind;
		this.#out.writeUInt32BE(stream, this.#outLength + 5);
		if (payload) this.#out.set(payload, this.#outLength + PREFIX);
		this.#outLength += PREFIX + size;
		if (kind === FrameKind.CANCEL) this.#flushSoon();
		else this.#flushAfterTick();
	}

	#flushAfterTick(): void {
		if (this.#flushing) return;
		this.#flushing = true;
		// After the promises that wait for what is handled now, and not at the end of the turn: what a turn reads from several
		// connections would wait for the last of them.
		process.nextTick(() => {
			this.#flushing = false;
			this.#flush();
		});
	}

	/**
	 * At the end of the turn: when thousands of clients leave, each is an event of its own, and a write and a wake-up of the
	 * worker for each took longer than the rest. One turn may read them all, so not more than a few wait for it.
	 */
	#flushSoon(): void {
		if (this.#outLength >= CANCEL_BYTES) this.#flushAfterTick();
		else this.#soon ??= setImmediate(() => this.#flush());
	}

	destroy(reason: string): void {
		this.#reason ??= reason;
		this.#socket.destroy();
	}

	#flush(): void {
		clearImmediate(this.#soon);
		this.#soon = undefined;
		if (this.#outLength === 0 || this.#socket.destroyed) return;
		this.#socket.write(this.#out.subarray(0, this.#outLength));
		// The socket may keep the bytes: the rest of the buffer is used next, or a new one when little is left.
		this.#out = this.#out.subarray(this.#outLength);
		if (this.#out.length < FLUSH_BYTES / 4) this.#out = Buffer.allocUnsafe(FLUSH_BYTES);
		this.#outLength = 0;
	}

	#read(queue: ByteQueue): void {
		try {
			for (;;) {
				const length = queue.uint32At(0);
				if (length === null) return;
				if (length < PREFIX - 4 || length > MAX_FRAME_BYTES)
					throw new RangeError(`a frame of ${length} bytes is no frame`);
				if (queue.length < 4 + length) return;
				const kind = queue.byteAt(4)!;
				const stream = queue.uint32At(5)!;
				queue.skip(PREFIX);
				this.#receive(kind, stream, queue.take(4 + length - PREFIX)!);
			}
		} catch (error) {
			this.destroy((error as Error).message);
		}
	}

	#receive(kind: number, stream: number, payload: Buffer): void {
		if (kind === FrameKind.PING) this.send(FrameKind.PONG, 0);
		else if (kind !== FrameKind.PONG) this.#handlers.onFrame(kind, stream, payload);
	}

	#checkLife(): void {
		const silentMs = performance.now() - this.#heardMs;
		if (silentMs > DEAD_MS) this.destroy(`it was silent for ${Math.round(silentMs)} ms`);
		else if (silentMs >= PING_MS) this.send(FrameKind.PING, 0);
	}
}
