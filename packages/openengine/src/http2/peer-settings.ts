// SPDX-License-Identifier: Apache-2.0
import {
	DEFAULT_MAX_FRAME_BYTES,
	DEFAULT_WINDOW_BYTES,
	Http2Code,
	MAX_INT31,
	ProtocolError,
	SettingId,
} from "./frames.js";

/** Largest dynamic header table before any setting. */
const DEFAULT_TABLE_BYTES = 4096;

/** What the other side has said of itself in SETTINGS. */
export class PeerSettings {
	/** Streams at the same time. */
	maxStreams: number = Number.POSITIVE_INFINITY;
	/** Of a new stream, towards the other side. */
	windowBytes: number = DEFAULT_WINDOW_BYTES;
	maxFrameBytes: number = DEFAULT_MAX_FRAME_BYTES;
	/** The header table was made smaller: the next block has to say that it knows. */
	hasSmallerTable = false;

	/** Takes the payload of a frame, whole settings of 6 bytes. @throws ProtocolError for a value that must not be */
	apply(bytes: Buffer, start: number, end: number): void {
		for (let at = start; at < end; at += 6) {
			const value = bytes.readUInt32BE(at + 2);
			switch (bytes.readUInt16BE(at)) {
				case SettingId.MAX_CONCURRENT_STREAMS:
					this.maxStreams = value;
					break;
				case SettingId.INITIAL_WINDOW_SIZE:
					if (value > MAX_INT31)
						throw new ProtocolError(Http2Code.FLOW_CONTROL_ERROR, `a window of ${value} bytes`);
					this.windowBytes = value;
					break;
				case SettingId.MAX_FRAME_SIZE:
					if (value < DEFAULT_MAX_FRAME_BYTES || value >= 2 ** 24)
						throw new ProtocolError(Http2Code.PROTOCOL_ERROR, `frames of at most ${value} bytes`);
					this.maxFrameBytes = value;
					break;
				case SettingId.HEADER_TABLE_SIZE:
					if (value < DEFAULT_TABLE_BYTES) this.hasSmallerTable = true;
			}
		}
	}
}
