// SPDX-License-Identifier: Apache-2.0

import { paddingOf } from "./frame-rules.js";
import { FrameFlag, FrameType, Http2Code, ProtocolError } from "./frames.js";
import { HeaderDecoder, MAX_HEADER_LIST_BYTES } from "./hpack/header-decoder.js";
import type { Header } from "./hpack/static-table.js";

/** Of a priority in a HEADERS frame, which means nothing any more. */
const PRIORITY_BYTES = 5;

/** A header block that has come in whole. */
export interface HeaderBlock {
	readonly stream: number;
	readonly headers: readonly Header[];
	/** The stream ends with it. */
	readonly isLast: boolean;
}

/** Puts together the frames of header blocks, a HEADERS frame and any number of CONTINUATIONs, and decodes them. */
export class HeaderBlocks {
	readonly #decoder = new HeaderDecoder();
	/** A block whose end has not come. */
	#open: { readonly stream: number; readonly isLast: boolean; bytes: Buffer } | null = null;

	/** Nothing may come between the frames of a block. @throws ProtocolError */
	checkOrder(type: number, stream: number): void {
		const isExpected = this.#open
			? type === FrameType.CONTINUATION && stream === this.#open.stream
			: type !== FrameType.CONTINUATION;
		if (!isExpected)
			throw new ProtocolError(
				Http2Code.PROTOCOL_ERROR,
				`a frame of type ${type} in a wrong place among headers`,
			);
	}

	/** Takes a HEADERS frame. @returns the block if it is whole @throws ProtocolError */
	begin(flags: number, stream: number, bytes: Buffer, start: number, end: number): HeaderBlock | null {
		const padding = paddingOf(flags, bytes, start, end);
		const from =
			start + (flags & FrameFlag.PADDED ? 1 : 0) + (flags & FrameFlag.PRIORITY ? PRIORITY_BYTES : 0);
		const to = end - padding;
		if (from > to) throw new ProtocolError(Http2Code.FRAME_SIZE_ERROR, "headers that end too soon");
		const isLast = (flags & FrameFlag.END_STREAM) !== 0;
		if (flags & FrameFlag.END_HEADERS)
			return { stream, headers: this.#decoder.decode(bytes, from, to), isLast };
		this.#open = { stream, isLast, bytes: Buffer.from(bytes.subarray(from, to)) };
		return null;
	}

	/** Takes a CONTINUATION frame. @returns the block if it is whole @throws ProtocolError */
	proceed(flags: number, bytes: Buffer, start: number, end: number): HeaderBlock | null {
		const open = this.#open!;
		if (open.bytes.length + end - start > MAX_HEADER_LIST_BYTES)
			throw new ProtocolError(Http2Code.ENHANCE_YOUR_CALM, "headers without end");
		// An empty frame would cost nothing to send, and there would be no end to them.
		if (start === end && (flags & FrameFlag.END_HEADERS) === 0)
			throw new ProtocolError(Http2Code.ENHANCE_YOUR_CALM, "an empty piece of headers");
		open.bytes = Buffer.concat([open.bytes, bytes.subarray(start, end)]);
		if ((flags & FrameFlag.END_HEADERS) === 0) return null;
		this.#open = null;
		const headers = this.#decoder.decode(open.bytes, 0, open.bytes.length);
		return { stream: open.stream, headers, isLast: open.isLast };
	}
}
