// SPDX-License-Identifier: Apache-2.0

// What RFC 9113 (HTTP/2) says of frames, as far as a gRPC client needs it.

export const FrameType = {
	DATA: 0,
	HEADERS: 1,
	PRIORITY: 2,
	RST_STREAM: 3,
	SETTINGS: 4,
	PUSH_PROMISE: 5,
	PING: 6,
	GOAWAY: 7,
	WINDOW_UPDATE: 8,
	CONTINUATION: 9,
} as const;

export const FrameFlag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

export const SettingId = {
	HEADER_TABLE_SIZE: 1,
	ENABLE_PUSH: 2,
	MAX_CONCURRENT_STREAMS: 3,
	INITIAL_WINDOW_SIZE: 4,
	MAX_FRAME_SIZE: 5,
	MAX_HEADER_LIST_SIZE: 6,
} as const;

export const Http2Code = {
	NO_ERROR: 0,
	PROTOCOL_ERROR: 1,
	INTERNAL_ERROR: 2,
	FLOW_CONTROL_ERROR: 3,
	FRAME_SIZE_ERROR: 6,
	REFUSED_STREAM: 7,
	CANCEL: 8,
	COMPRESSION_ERROR: 9,
	ENHANCE_YOUR_CALM: 11,
	INADEQUATE_SECURITY: 12,
} as const;
export type Http2Code = (typeof Http2Code)[keyof typeof Http2Code];

/** What a client says first. */
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
export const FRAME_HEADER_BYTES = 9;
/** Largest payload of a frame unless SETTINGS_MAX_FRAME_SIZE says otherwise; we never say otherwise. */
export const DEFAULT_MAX_FRAME_BYTES: number = 2 ** 14;
/** Of a stream and of a connection before any SETTINGS or WINDOW_UPDATE. */
export const DEFAULT_WINDOW_BYTES: number = 2 ** 16 - 1;
/** Of window sizes and stream ids. */
export const MAX_INT31: number = 2 ** 31 - 1;

/** The other side broke the protocol: the connection ends with `code`. */
export class ProtocolError extends Error {
	override readonly name = "ProtocolError";
	readonly code: Http2Code;

	constructor(code: Http2Code, message: string) {
		super(message);
		this.code = code;
	}
}

/** A frame whose payload, of `payloadBytes`, is still to be written after its header. */
export function newFrame(type: number, flags: number, stream: number, payloadBytes: number): Buffer {
	const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes);
	frame.writeUIntBE(payloadBytes, 0, 3);
	frame[3] = type;
	frame[4] = flags;
	frame.writeUInt32BE(stream, 5);
	return frame;
}

/** RST_STREAM and WINDOW_UPDATE: one number. */
export function numberFrame(type: number, stream: number, value: number): Buffer {
	const frame = newFrame(type, 0, stream, 4);
	frame.writeUInt32BE(value, FRAME_HEADER_BYTES);
	return frame;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
	const frame = newFrame(FrameType.SETTINGS, 0, 0, settings.length * 6);
	for (const [i, [id, value]] of settings.entries()) {
		frame.writeUInt16BE(id, FRAME_HEADER_BYTES + i * 6);
		frame.writeUInt32BE(value, FRAME_HEADER_BYTES + i * 6 + 2);
	}
	return frame;
}

export function settingsAckFrame(): Buffer {
	return newFrame(FrameType.SETTINGS, FrameFlag.ACK, 0, 0);
}

/** @param opaque 8 bytes */
export function pingFrame(opaque: Uint8Array, isAnswer: boolean): Buffer {
	const frame = newFrame(FrameType.PING, isAnswer ? FrameFlag.ACK : 0, 0, 8);
	frame.set(opaque, FRAME_HEADER_BYTES);
	return frame;
}

/** We take no streams of the server's: the last one is 0. */
export function goAwayFrame(code: number): Buffer {
	const frame = newFrame(FrameType.GOAWAY, 0, 0, 8);
	frame.writeUInt32BE(0, FRAME_HEADER_BYTES);
	frame.writeUInt32BE(code, FRAME_HEADER_BYTES + 4);
	return frame;
}
