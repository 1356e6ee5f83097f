// SPDX-License-Identifier: Apache-2.0
import { Http2Code } from "../http2/frames.js";
import type { Header } from "../http2/hpack/static-table.js";
import type { Http2Stream, StreamFailure, StreamHandler } from "../http2/stream.js";
import { CallFailure } from "./call-failure.js";
import { decodeGrpcMessage, headerValue, isGrpc } from "./call-headers.js";
import type { Channel } from "./channel.js";
import { statusOfHttp, statusOfReset } from "./foreign-status.js";
import { MessageReader, prefixed } from "./message-reader.js";
import { GrpcStatus } from "./status.js";

/** Node takes no longer timers. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Who takes what comes of a call. */
export interface CallSink {
	/** The bytes are valid during the call only. Throwing ends the call with INTERNAL. */
	onMessage(bytes: Buffer): void;
	/** Whether more messages should wait until `GrpcCall.resume`. */
	readonly isFull: boolean;
	/** Called once, unless the call was cancelled. */
	onEnd(status: number, message: string): void;
}

export interface CallOptions {
	readonly headers: readonly Header[];
	readonly message: Uint8Array;
	/** Largest message of the answer. */
	readonly maxMessageBytes: number;
	/** The call ends with DEADLINE_EXCEEDED then, ms from now. */
	readonly timeoutMs?: number | undefined;
}

/** One RPC with one message as request. */
export class GrpcCall implements StreamHandler {
	readonly #sink: CallSink;
	readonly #reader: MessageReader;
	readonly #take: (message: Buffer) => void;
	readonly #timer: NodeJS.Timeout | null = null;
	#stream: Http2Stream | null = null;
	/** Bytes for which there was no room; the server gets no new ones for them. */
	#heldBytes = 0;
	#hasBegun = false;
	/** What the trailers say. */
	#status: { readonly code: number; readonly message: string } | null = null;
	#isOver = false;

	/** Begins at once, or when the channel has a connection. */
	constructor(
		channel: Channel,
		{ headers, message, maxMessageBytes, timeoutMs }: CallOptions,
		sink: CallSink,
	) {
		this.#sink = sink;
		this.#reader = new MessageReader(maxMessageBytes);
		this.#take = (bytes) => this.#sink.onMessage(bytes);
		if (timeoutMs !== undefined)
			this.#timer = setTimeout(
				() => this.#fail(GrpcStatus.DEADLINE_EXCEEDED, `no end within ${Math.round(timeoutMs)} ms`),
				Math.min(timeoutMs, MAX_TIMER_MS),
			).unref();
		const body = prefixed(message);
		channel.use(
			(connection) => {
				if (!this.#isOver) this.#stream = connection.request(headers, body, this);
			},
			(reason) => this.#finish(GrpcStatus.UNAVAILABLE, reason),
		);
	}

	/** The sink hears nothing more. Idempotent. */
	cancel(): void {
		if (this.#isOver) return;
		this.#close();
		this.#stream?.reset();
	}

	/** The sink has room again. */
	resume(): void {
		if (this.#heldBytes === 0) return;
		this.#stream?.consumed(this.#heldBytes);
		this.#heldBytes = 0;
	}

	onHeaders(headers: readonly Header[], isLast: boolean): void {
		const httpStatus = headerValue(headers, ":status");
		if (!this.#hasBegun) {
			if (!isLast && httpStatus?.startsWith("1")) return; // the answer is still to come
			this.#hasBegun = true;
			if (httpStatus !== "200" || !isGrpc(headers)) {
				const said = `the server answered with HTTP status ${httpStatus} and not with gRPC`;
				this.#fail(statusOfHttp(httpStatus), said);
				return;
			}
		}
		if (!isLast) return;
		const code = headerValue(headers, "grpc-status");
		if (code === undefined || !/^\d{1,3}$/.test(code)) return;
		this.#status = {
			code: Number(code),
			message: decodeGrpcMessage(headerValue(headers, "grpc-message") ?? ""),
		};
	}

	onData(bytes: Buffer, start: number, end: number): void {
		try {
			this.#reader.read(bytes, start, end, this.#take);
		} catch (error) {
			const status = error instanceof CallFailure ? error.status : GrpcStatus.INTERNAL;
			this.#fail(status, (error as Error).message);
			return;
		}
		if (this.#sink.isFull) this.#heldBytes += end - start;
		else this.#stream!.consumed(end - start);
	}

	onEnd(failure: StreamFailure | null): void {
		if (failure) this.#finish(statusOfReset(failure.code), failure.message);
		else if (!this.#status) this.#finish(GrpcStatus.UNKNOWN, "the server ended its answer without a status");
		else if (this.#status.code === GrpcStatus.OK && this.#reader.isWithin)
			this.#finish(GrpcStatus.INTERNAL, "the answer ends within a message");
		else this.#finish(this.#status.code, this.#status.message);
	}

	/** Ends it from here. */
	#fail(status: GrpcStatus, message: string): void {
		this.#finish(status, message);
		this.#stream?.reset(Http2Code.CANCEL);
	}

	#finish(status: number, message: string): void {
		if (this.#isOver) return;
		this.#close();
		this.#sink.onEnd(status, message);
	}

	#close(): void {
		this.#isOver = true;
		if (this.#timer) clearTimeout(this.#timer);
	}
}
