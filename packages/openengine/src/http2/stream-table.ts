// SPDX-License-Identifier: Apache-2.0
import type { BodySender } from "./body-sender.js";
import {
	FRAME_HEADER_BYTES,
	FrameFlag,
	FrameType,
	Http2Code,
	MAX_INT31,
	newFrame,
	numberFrame,
	ProtocolError,
} from "./frames.js";
import { encodeHeaders } from "./hpack/header-encoder.js";
import type { Header } from "./hpack/static-table.js";
import type { Outbox } from "./outbox.js";
import type { PeerSettings } from "./peer-settings.js";
import { Http2Stream, type StreamFailure, type StreamHandler, type StreamOutput } from "./stream.js";

/** The streams of a connection: as many as the server takes at the same time, and those that wait for their turn. */
export class StreamTable implements StreamOutput {
	readonly #outbox: Outbox;
	readonly #settings: PeerSettings;
	readonly #bodies: BodySender;
	readonly #onBusy: (isBusy: boolean) => void;
	readonly #active = new Map<number, Http2Stream>();
	readonly #waiting = new Set<Http2Stream>();
	#nextId = 1;
	#isRetired = false;

	/** @param onBusy told when the first stream begins and when the last has ended */
	constructor(outbox: Outbox, settings: PeerSettings, bodies: BodySender, onBusy: (isBusy: boolean) => void) {
		this.#outbox = outbox;
		this.#settings = settings;
		this.#bodies = bodies;
		this.#onBusy = onBusy;
	}

	/** No new streams: the server wants none, or there are no numbers left for them. */
	get isRetired(): boolean {
		return this.#isRetired;
	}

	get isBusy(): boolean {
		return this.#active.size > 0;
	}

	open(headers: readonly Header[], body: Buffer, handler: StreamHandler): Http2Stream {
		const stream = new Http2Stream(headers, body, handler, this);
		this.#waiting.add(stream);
		this.startWaiting();
		return stream;
	}

	/** Undefined for one that is over. @throws ProtocolError for one that never was */
	find(id: number): Http2Stream | undefined {
		const stream = this.#active.get(id);
		if (!stream && (id % 2 === 0 || id >= this.#nextId))
			throw new ProtocolError(Http2Code.PROTOCOL_ERROR, `a frame on stream ${id}, which nobody opened`);
		return stream;
	}

	startWaiting(): void {
		for (const stream of this.#waiting) {
			if (this.#isRetired || this.#active.size >= this.#settings.maxStreams) return;
			this.#waiting.delete(stream);
			this.#start(stream);
		}
	}

	/** Changes what may be sent of every stream, as a new initial window does. @throws ProtocolError */
	widen(bytes: number): void {
		for (const stream of this.#active.values()) this.#bodies.grant(stream, bytes);
	}

	grant({ id }: Http2Stream, bytes: number): void {
		this.#outbox.write(numberFrame(FrameType.WINDOW_UPDATE, id, bytes));
	}

	reset(stream: Http2Stream, code: Http2Code): void {
		if (stream.id > 0) this.#outbox.write(numberFrame(FrameType.RST_STREAM, stream.id, code));
		this.#forget(stream);
	}

	/** The server has said its last word of the stream. */
	end(stream: Http2Stream, failure: StreamFailure | null): void {
		if (stream.isOver) return;
		// It need not wait for what it has not read.
		if (!failure && !stream.isSent)
			this.#outbox.write(numberFrame(FrameType.RST_STREAM, stream.id, Http2Code.NO_ERROR));
		this.#forget(stream);
		stream.handler.onEnd(failure);
	}

	/** The server takes no new streams, and none of those after `lastId`. */
	retire(lastId: number, failure: StreamFailure): void {
		this.#isRetired = true;
		for (const stream of [...this.#active.values(), ...this.#waiting])
			if (stream.id === 0 || stream.id > lastId) this.end(stream, failure);
	}

	#start(stream: Http2Stream): void {
		stream.id = this.#nextId;
		this.#nextId += 2;
		if (this.#nextId > MAX_INT31) this.#isRetired = true;
		stream.sendWindow = this.#settings.windowBytes;
		this.#active.set(stream.id, stream);
		if (this.#active.size === 1) this.#onBusy(true);
		this.#sendHeaders(stream);
		this.#bodies.send(stream);
	}

	#sendHeaders({ id, headers }: Http2Stream): void {
		const block = encodeHeaders(headers, this.#settings.hasSmallerTable);
		this.#settings.hasSmallerTable = false;
		const { maxFrameBytes } = this.#settings;
		for (let at = 0; at < block.length; at += maxFrameBytes) {
			const piece = block.subarray(at, at + maxFrameBytes);
			const flags = at + piece.length === block.length ? FrameFlag.END_HEADERS : 0;
			const frame = newFrame(at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION, flags, id, piece.length);
			frame.set(piece, FRAME_HEADER_BYTES);
			this.#outbox.write(frame);
		}
	}

	#forget(stream: Http2Stream): void {
		stream.isOver = true;
		this.#bodies.forget(stream);
		this.#waiting.delete(stream);
		if (!this.#active.delete(stream.id)) return;
		this.startWaiting();
		if (this.#active.size === 0) this.#onBusy(false);
	}
}
