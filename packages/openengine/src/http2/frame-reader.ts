// SPDX-License-Identifier: Apache-2.0
import {
	DEFAULT_MAX_FRAME_BYTES,
	FRAME_HEADER_BYTES,
	Http2Code,
	MAX_INT31,
	ProtocolError,
} from "./frames.js";

export interface FrameHandler {
	/**
	 * Takes a frame, whose payload lies in `bytes` from `start` to `end` and is valid during the call only.
	 * @throws ProtocolError
	 */
	receive(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void;
}

/** Cuts what a socket reads into frames. Copies only a frame that comes in several reads; holds at most one. */
export class FrameReader {
	readonly #handler: FrameHandler;
	readonly #partial: Buffer = Buffer.allocUnsafe(FRAME_HEADER_BYTES + DEFAULT_MAX_FRAME_BYTES);
	/** Bytes in `#partial`. */
	#filled = 0;

	constructor(handler: FrameHandler) {
		this.#handler = handler;
	}

	/** @throws ProtocolError for a frame that is too large, and what the handler throws */
	read(chunk: Buffer): void {
		let at = 0;
		if (this.#filled > 0) {
			at = this.#fill(chunk, 0, FRAME_HEADER_BYTES);
			if (this.#filled < FRAME_HEADER_BYTES) return;
			const size = frameBytes(this.#partial, 0);
			at = this.#fill(chunk, at, size);
			if (this.#filled < size) return;
			this.#filled = 0;
			this.#hand(this.#partial, 0, size);
		}
		while (chunk.length - at >= FRAME_HEADER_BYTES) {
			const end = at + frameBytes(chunk, at);
			if (end > chunk.length) break;
			this.#hand(chunk, at, end);
			at = end;
		}
		this.#fill(chunk, at, this.#partial.length);
	}

	/** Copies from `at` on until `size` bytes are there. @returns where the next byte is */
	#fill(chunk: Buffer, at: number, size: number): number {
		const end = Math.min(chunk.length, at + Math.max(0, size - this.#filled));
		chunk.copy(this.#partial, this.#filled, at, end);
		this.#filled += end - at;
		return end;
	}

	#hand(bytes: Buffer, at: number, end: number): void {
		// The highest bit of a stream id is reserved.
		const stream = bytes.readUInt32BE(at + 5) & MAX_INT31;
		this.#handler.receive(bytes[at + 3]!, bytes[at + 4]!, stream, bytes, at + FRAME_HEADER_BYTES, end);
	}
}

/** Of header and payload. */
function frameBytes(bytes: Buffer, at: number): number {
	const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
	if (length > DEFAULT_MAX_FRAME_BYTES)
		throw new ProtocolError(
			Http2Code.FRAME_SIZE_ERROR,
			`a frame of ${length} bytes, where ${DEFAULT_MAX_FRAME_BYTES} are the limit`,
		);
	return FRAME_HEADER_BYTES + length;
}
