// SPDX-License-Identifier: Apache-2.0
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, Http2Code, newFrame, ProtocolError } from "./frames.js";
import type { Header } from "./hpack/static-table.js";

/** What may be on its way to us of one stream before its reader has taken some, bytes. */
export const STREAM_WINDOW_BYTES: number = 2 ** 18;

/** Why a stream ended before its end: the other side's code, or null when the connection is gone. */
export interface StreamFailure {
	readonly code: number | null;
	readonly message: string;
}

/** Who sent a request and takes what comes for it. None of these may throw. */
export interface StreamHandler {
	/** At the beginning of an answer or, when it `isLast`, at its end. */
	onHeaders(headers: readonly Header[], isLast: boolean): void;
	/** The bytes are valid during the call only; say so by `consumed` when there is room for more. */
	onData(bytes: Buffer, start: number, end: number): void;
	/** Nothing more comes: the answer is complete, or has failed. Called once, unless the stream was reset from here. */
	onEnd(failure: StreamFailure | null): void;
}

/** What a stream needs of its connection. */
export interface StreamOutput {
	/** Grants the other side `bytes` more of this stream. */
	grant(stream: Http2Stream, bytes: number): void;
	/** Ends the stream from here. */
	reset(stream: Http2Stream, code: Http2Code): void;
}

/** One request and its answer. */
export class Http2Stream {
	/** 0 while it waits for its turn. */
	id = 0;
	isOver = false;
	hasHeaders = false;
	/** Bytes that we may send. */
	sendWindow = 0;
	readonly headers: readonly Header[];
	readonly handler: StreamHandler;
	readonly #output: StreamOutput;
	readonly #body: Buffer;
	#sent = 0;
	/** Bytes that may come. */
	#receiveWindow: number = STREAM_WINDOW_BYTES;
	/** Bytes that were taken and not yet granted anew. */
	#consumed = 0;

	/** @param body not empty */
	constructor(headers: readonly Header[], body: Buffer, handler: StreamHandler, output: StreamOutput) {
		this.headers = headers;
		this.#body = body;
		this.handler = handler;
		this.#output = output;
	}

	get isSent(): boolean {
		return this.#sent === this.#body.length;
	}

	/** Nothing more is wanted; the handler hears nothing more. */
	reset(code: Http2Code = Http2Code.CANCEL): void {
		if (!this.isOver) this.#output.reset(this, code);
	}

	/** `bytes` that came are no longer held. */
	consumed(bytes: number): void {
		this.#consumed += bytes;
		if (this.isOver || this.#consumed < STREAM_WINDOW_BYTES / 2) return;
		this.#receiveWindow += this.#consumed;
		this.#output.grant(this, this.#consumed);
		this.#consumed = 0;
	}

	/** @throws ProtocolError for more than was granted */
	received(bytes: number): void {
		this.#receiveWindow -= bytes;
		if (this.#receiveWindow < 0)
			throw new ProtocolError(Http2Code.FLOW_CONTROL_ERROR, `stream ${this.id} sent more than it may`);
	}

	/** The next piece of the body, at most `bytes` of it: the header of its frame, and the piece. */
	nextPiece(bytes: number): readonly [header: Buffer, piece: Buffer] {
		const piece = this.#body.subarray(this.#sent, this.#sent + bytes);
		this.#sent += piece.length;
		this.sendWindow -= piece.length;
		const frame = newFrame(FrameType.DATA, this.isSent ? FrameFlag.END_STREAM : 0, this.id, 0);
		frame.writeUIntBE(piece.length, 0, 3);
		return [frame.subarray(0, FRAME_HEADER_BYTES), piece];
	}
}
