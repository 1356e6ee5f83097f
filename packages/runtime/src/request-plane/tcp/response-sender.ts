// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import { DynError } from "@dyn/common";
import { ByteQueue } from "./byte-queue.js";
import type { ControlHeader } from "./control-header.js";
import { Sockets } from "./sockets.js";
import { COMPLETE_FINAL, wrapError, wrapItem } from "./stream-item.js";
import { encodeTwoPart, takeTwoPart } from "./two-part.js";
import { borrowBody, type WireFormat } from "./wire-format.js";

const PROLOGUE = encodeTwoPart(Buffer.from('{"error":null}'), null);
const SENTINEL = encodeTwoPart(Buffer.from('"sentinel"'), null);
/** Time for the caller to take the connection, ms. */
const CONNECT_MS = 5000;
/** Time for the caller to close after the end, ms. */
const LINGER_MS = 10_000;

/** More than this does not wait for the end of the turn. */
const FLUSH_BYTES = 32 * 1024;

/** Brings one answer to the caller that waits for it (see `ResponseListener` for the other end). */
export class ResponseSender {
	readonly #socket: Socket;
	readonly #format: WireFormat;
	readonly #frames: Buffer[] = [];
	#waitingBytes = 0;
	#flushing = false;
	#drained: (() => void) | null = null;
	#isComplete = false;
	#sentBytes = 0;

	/**
	 * Connects at once.
	 * @param onGone called once when the caller wants nothing any more: it said so, or its connection is gone. Without a
	 *   reason when the answer was complete before
	 */
	constructor(
		{ address, subject, format }: ControlHeader,
		onGone: (reason: DynError | null) => void,
		sockets: Sockets = new Sockets(),
	) {
		this.#format = format;
		this.#socket = sockets.connect(address, () => clearTimeout(late));
		const socket = this.#socket;
		const late = setTimeout(
			() => socket.destroy(new Error(`no connection to ${address} within ${CONNECT_MS} ms`)),
			CONNECT_MS,
		).unref();
		let isGone = false;
		const gone = (why: string, cause?: Error) => {
			if (isGone) return;
			isGone = true;
			clearTimeout(late);
			onGone(this.#isComplete ? null : new DynError("CANCELLED", why, { cause }));
			socket.destroy();
			this.#wakeWriter();
		};
		socket.on("error", (error) => gone("the caller is gone", error));
		socket.on("close", () => gone("the caller is gone"));
		socket.on("drain", () => this.#wakeWriter());
		const queue = new ByteQueue();
		socket.on("data", (chunk) => {
			queue.push(chunk);
			try {
				for (let frame = takeTwoPart(queue); frame; frame = takeTwoPart(queue)) {
					// "stop" and "kill" are one to us: nothing that comes after is wanted, as in stock workers.
					const word = frame.header.toString();
					if (word === '"stop"' || word === '"kill"') gone("the caller cancelled");
				}
			} catch (error) {
				gone("the caller said what is no control frame", error as Error);
			}
		});
		socket.write(encodeTwoPart(Buffer.from(JSON.stringify({ subject, stream_type: "response" })), null));
		socket.write(PROLOGUE);
	}

	/** Bytes of the answer so far, with their frames. */
	get sentBytes(): number {
		return this.#sentBytes;
	}

	get gone(): boolean {
		return this.#socket.destroyed;
	}

	/** Resolves when more may be written; nothing when it may already. @throws TypeError when the item cannot be encoded */
	send(item: unknown, bare: boolean): Promise<void> | void {
		return this.#write(encodeTwoPart(null, borrowBody(wrapItem(item, bare), this.#format)));
	}

	async complete(): Promise<void> {
		await this.#write(encodeTwoPart(null, borrowBody(COMPLETE_FINAL, this.#format)));
		await this.#write(SENTINEL);
		this.#flush();
		this.#end();
	}

	/** Reports what was thrown, then ends properly: the answer was complete, and it is an error. */
	async fail(error: unknown): Promise<void> {
		await this.#write(encodeTwoPart(null, borrowBody(wrapError(error), this.#format)));
		await this.complete();
	}

	/** Breaks off: the caller sees that the answer is not complete. */
	destroy(): void {
		this.#socket.destroy();
	}

	#end(): void {
		this.#isComplete = true;
		const socket = this.#socket;
		if (socket.destroyed) return;
		const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
		socket.once("close", () => clearTimeout(timer));
		socket.end();
	}

	/** Frames of one turn of the event loop leave together. */
	#write(frame: Buffer): Promise<void> | void {
		this.#frames.push(frame);
		this.#waitingBytes += frame.length;
		this.#sentBytes += frame.length;
		if (this.#waitingBytes > FLUSH_BYTES) this.#flush();
		else if (!this.#flushing) {
			this.#flushing = true;
			setImmediate(() => this.#flush());
		}
		const socket = this.#socket;
		if (!socket.writableNeedDrain || socket.destroyed) return;
		return new Promise((resolve) => {
			this.#drained = resolve;
		});
	}

	#flush(): void {
		this.#flushing = false;
		this.#waitingBytes = 0;
		if (this.#frames.length === 0 || this.#socket.destroyed) return;
		this.#socket.write(this.#frames.length === 1 ? this.#frames[0]! : Buffer.concat(this.#frames));
		this.#frames.length = 0;
	}

	#wakeWriter(): void {
		this.#drained?.();
		this.#drained = null;
	}
}
