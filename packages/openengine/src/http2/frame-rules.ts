// SPDX-License-Identifier: Apache-2.0
import { FrameFlag, FrameType, Http2Code, ProtocolError } from "./frames.js";

/** Exact sizes, and for GOAWAY the least. */
const SIZES: Readonly<Record<number, number>> = {
	[FrameType.PRIORITY]: 5,
	[FrameType.RST_STREAM]: 4,
	[FrameType.PING]: 8,
	[FrameType.WINDOW_UPDATE]: 4,
};
const OF_CONNECTION: ReadonlySet<number> = new Set([FrameType.SETTINGS, FrameType.PING, FrameType.GOAWAY]);
const OF_STREAM: ReadonlySet<number> = new Set([
	FrameType.DATA,
	FrameType.HEADERS,
	FrameType.PRIORITY,
	FrameType.RST_STREAM,
	FrameType.CONTINUATION,
]);

/**
 * What holds for every frame of its type, whatever has come before. DATA is for its receiver to check.
 * @throws ProtocolError
 */
export function checkFrame(type: number, flags: number, stream: number, size: number): void {
	if (stream === 0 ? OF_STREAM.has(type) : OF_CONNECTION.has(type))
		throw new ProtocolError(Http2Code.PROTOCOL_ERROR, `a frame of type ${type} on stream ${stream}`);
	if (type === FrameType.PUSH_PROMISE)
		throw new ProtocolError(Http2Code.PROTOCOL_ERROR, "a pushed stream, which was forbidden");
	const isWrong =
		type === FrameType.SETTINGS
			? size % 6 !== 0 || ((flags & FrameFlag.ACK) !== 0 && size > 0)
			: type === FrameType.GOAWAY
				? size < 8
				: size !== (SIZES[type] ?? size);
	if (isWrong)
		throw new ProtocolError(Http2Code.FRAME_SIZE_ERROR, `a frame of type ${type} with ${size} bytes`);
}

/**
 * How many bytes of padding stand at the end of a padded frame, before which one byte tells their number.
 * @throws ProtocolError for more than there is
 */
export function paddingOf(flags: number, bytes: Buffer, start: number, end: number): number {
	if ((flags & FrameFlag.PADDED) === 0) return 0;
	const padding = bytes[start] ?? 0;
	if (start + 1 + padding > end)
		throw new ProtocolError(Http2Code.PROTOCOL_ERROR, "padding beyond its frame");
	return padding;
}
