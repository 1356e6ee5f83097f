// SPDX-License-Identifier: Apache-2.0
import { CallFailure } from "./call-failure.js";
import { GrpcStatus } from "./status.js";

/** Before each message: a byte that says whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
const FIRST_CAPACITY = 2 ** 12;

/** The same prefix before a message of ours. */
export function prefixed(message: Uint8Array): Buffer {
	const body = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
	body[0] = 0;
	body.writeUInt32BE(message.length, 1);
	body.set(message, PREFIX_BYTES);
	return body;
}

/** Cuts the data of a stream into messages. Copies only what comes in several pieces, and takes memory as it comes. */
export class MessageReader {
	readonly #maxBytes: number;
	/** The beginning of a message, with its prefix. */
	#partial: Buffer | null = null;
	#filled = 0;

	constructor(maxBytes: number) {
		this.#maxBytes = maxBytes;
	}

	/** Whether the data so far ends within a message. */
	get isWithin(): boolean {
		return this.#partial !== null;
	}

	/**
	 * @param onMessage its bytes are valid during the call only
	 * @throws CallFailure for a message that is compressed or too large, and what `onMessage` throws
	 */
	read(bytes: Buffer, start: number, end: number, onMessage: (message: Buffer) => void): void {
		let at = this.#partial ? this.#proceed(bytes, start, end, onMessage) : start;
		while (end - at >= PREFIX_BYTES) {
			const next = at + PREFIX_BYTES + this.#lengthAt(bytes, at);
			if (next > end) break;
			onMessage(bytes.subarray(at + PREFIX_BYTES, next));
			at = next;
		}
		if (at < end) this.#proceed(bytes, at, end, onMessage);
	}

	/** Goes on with a message that is not whole, or begins one. @returns where the next begins */
	#proceed(bytes: Buffer, start: number, end: number, onMessage: (message: Buffer) => void): number {
		const at = this.#fill(bytes, start, end, PREFIX_BYTES);
		if (this.#filled < PREFIX_BYTES) return at;
		const size = PREFIX_BYTES + this.#lengthAt(this.#partial!, 0);
		const next = this.#fill(bytes, at, end, size);
		if (this.#filled < size) return next;
		const message = this.#partial!.subarray(PREFIX_BYTES, size);
		this.#partial = null;
		this.#filled = 0;
		onMessage(message);
		return next;
	}

	#fill(bytes: Buffer, start: number, end: number, size: number): number {
		const stop = Math.min(end, start + size - this.#filled);
		const needed = this.#filled + stop - start;
		this.#partial ??= Buffer.allocUnsafe(FIRST_CAPACITY);
		if (needed > this.#partial.length) {
			const larger = Buffer.allocUnsafe(Math.min(size, Math.max(needed, 2 * this.#partial.length)));
			this.#partial.copy(larger, 0, 0, this.#filled);
			this.#partial = larger;
		}
		bytes.copy(this.#partial, this.#filled, start, stop);
		this.#filled = needed;
		return stop;
	}

	#lengthAt(bytes: Buffer, at: number): number {
		if (bytes[at] !== 0)
			throw new CallFailure(GrpcStatus.INTERNAL, "a message is compressed, and nobody asked for that");
		const length = bytes.readUInt32BE(at + 1);
		if (length > this.#maxBytes)
			throw new CallFailure(
				GrpcStatus.RESOURCE_EXHAUSTED,
				`a message is larger than the limit (${length} bytes, limit ${this.#maxBytes})`,
			);
		return length;
	}
}
