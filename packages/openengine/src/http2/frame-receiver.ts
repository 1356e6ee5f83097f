// SPDX-License-Identifier: Apache-2.0
import type { BodySender } from "./body-sender.js";
import type { FrameHandler } from "./frame-reader.js";
import { checkFrame, paddingOf } from "./frame-rules.js";
import {
	FrameFlag,
	FrameType,
	Http2Code,
	MAX_INT31,
	numberFrame,
	ProtocolError,
	pingFrame,
	settingsAckFrame,
} from "./frames.js";
import { type HeaderBlock, HeaderBlocks } from "./header-blocks.js";
import type { Outbox } from "./outbox.js";
import type { PeerSettings } from "./peer-settings.js";
import type { StreamTable } from "./stream-table.js";

/** What may be on its way to us of all streams together. Streams hold back what nobody has read, this does not. */
export const CONNECTION_WINDOW_BYTES: number = 2 ** 22;

export interface ReceiverParts {
	readonly outbox: Outbox;
	readonly settings: PeerSettings;
	readonly bodies: BodySender;
	readonly streams: StreamTable;
	/** The server has said its first settings: streams may begin. */
	readonly onReady: () => void;
	/** @param isPestered whether it finds that it was asked for signs of life too often */
	readonly onGoAway: (isPestered: boolean) => void;
}

/** Does what the frames of a server say. */
export class FrameReceiver implements FrameHandler {
	readonly #parts: ReceiverParts;
	readonly #blocks = new HeaderBlocks();
	#window: number = CONNECTION_WINDOW_BYTES;
	#isReady = false;

	constructor(parts: ReceiverParts) {
		this.#parts = parts;
	}

	/** @throws ProtocolError for what the server must not send */
	receive(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
		if (!this.#isReady && (type !== FrameType.SETTINGS || flags & FrameFlag.ACK))
			throw new ProtocolError(Http2Code.PROTOCOL_ERROR, "it does not begin with settings");
		this.#blocks.checkOrder(type, id);
		checkFrame(type, flags, id, end - start);
		switch (type) {
			case FrameType.DATA:
				this.#data(flags, id, bytes, start, end);
				break;
			case FrameType.HEADERS:
				this.#headers(this.#blocks.begin(flags, id, bytes, start, end));
				break;
			case FrameType.CONTINUATION:
				this.#headers(this.#blocks.proceed(flags, bytes, start, end));
				break;
			case FrameType.RST_STREAM:
				this.#reset(id, bytes.readUInt32BE(start));
				break;
			case FrameType.SETTINGS:
				this.#settings(flags, bytes, start, end);
				break;
			case FrameType.PING:
				if ((flags & FrameFlag.ACK) === 0) this.#reply(pingFrame(bytes.subarray(start, end), true));
				break;
			case FrameType.GOAWAY:
				this.#goAway(bytes, start, end);
				break;
			case FrameType.WINDOW_UPDATE:
				this.#windowUpdate(id, bytes.readUInt32BE(start) & MAX_INT31);
				break;
		}
	}

	#data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
		const size = end - start;
		this.#window -= size;
		if (this.#window < 0)
			throw new ProtocolError(Http2Code.FLOW_CONTROL_ERROR, "more than all streams may send");
		if (this.#window < CONNECTION_WINDOW_BYTES / 2) {
			const room = CONNECTION_WINDOW_BYTES - this.#window;
			this.#parts.outbox.write(numberFrame(FrameType.WINDOW_UPDATE, 0, room));
			this.#window = CONNECTION_WINDOW_BYTES;
		}
		const stream = this.#parts.streams.find(id);
		if (!stream) return;
		if (!stream.hasHeaders)
			throw new ProtocolError(Http2Code.PROTOCOL_ERROR, `data before headers on stream ${id}`);
		stream.received(size);
		if (flags & FrameFlag.PADDED) {
			const padding = paddingOf(flags, bytes, start, end);
			stream.consumed(padding + 1);
			stream.handler.onData(bytes, start + 1, end - padding);
		} else stream.handler.onData(bytes, start, end);
		if (flags & FrameFlag.END_STREAM) this.#parts.streams.end(stream, null);
	}

	#headers(block: HeaderBlock | null): void {
		const stream = block && this.#parts.streams.find(block.stream);
		if (!stream) return;
		stream.hasHeaders = true;
		stream.handler.onHeaders(block.headers, block.isLast);
		if (block.isLast) this.#parts.streams.end(stream, null);
	}

	#reset(id: number, code: number): void {
		const stream = this.#parts.streams.find(id);
		if (stream)
			this.#parts.streams.end(stream, { code, message: `the server reset the stream with code ${code}` });
	}

	#settings(flags: number, bytes: Buffer, start: number, end: number): void {
		if (flags & FrameFlag.ACK) return;
		const { settings, streams } = this.#parts;
		const before = settings.windowBytes;
		settings.apply(bytes, start, end);
		if (settings.windowBytes !== before) streams.widen(settings.windowBytes - before);
		this.#reply(settingsAckFrame());
		streams.startWaiting();
		if (this.#isReady) return;
		this.#isReady = true;
		this.#parts.onReady();
	}

	#goAway(bytes: Buffer, start: number, end: number): void {
		const code = bytes.readUInt32BE(start + 4);
		const text = bytes.toString("latin1", start + 8, Math.min(end, start + 8 + 100));
		const said = `${code === Http2Code.NO_ERROR ? "" : ` with code ${code}`}${text && `: ${text}`}`;
		this.#parts.streams.retire(bytes.readUInt32BE(start) & MAX_INT31, {
			code: Http2Code.REFUSED_STREAM,
			message: `the server is closing the connection${said}`,
		});
		this.#parts.onGoAway(code === Http2Code.ENHANCE_YOUR_CALM);
	}

	#windowUpdate(id: number, bytes: number): void {
		if (bytes === 0) throw new ProtocolError(Http2Code.PROTOCOL_ERROR, "a window update by nothing");
		const stream = id === 0 ? null : this.#parts.streams.find(id);
		if (stream !== undefined) this.#parts.bodies.grant(stream, bytes);
	}

	/** Answers what the server may ask as often as it likes. */
	#reply(frame: Buffer): void {
		this.#parts.outbox.write(frame);
		if (this.#parts.outbox.isStuck)
			throw new ProtocolError(Http2Code.ENHANCE_YOUR_CALM, "it asks and does not read the answers");
	}
}
