// SPDX-License-Identifier: Apache-2.0
import { cancellationError } from "@dyn/common";
import { decodeMsgpack } from "@dyn/protocols/msgpack";
import type { PayloadCodec } from "../../../types.js";
import { ItemStream } from "../item-stream.js";
import { FrameKind, type MuxLink, WINDOW_BYTES } from "./mux-link.js";

/** What was read is told to the worker in portions of this size. */
const CREDIT_BYTES = WINDOW_BYTES / 4;

/** What one stream needs of its connection. */
export interface CalledStreamOptions {
	readonly link: MuxLink;
	readonly id: number;
	/** Ends the call when it aborts. */
	readonly signal: AbortSignal;
	readonly codec: PayloadCodec;
	/** Nothing more is expected from the worker. Called once. */
	readonly onEnd: () => void;
}

/** One answer at the caller's end. */
export class CalledStream {
	readonly items: ItemStream<Buffer, unknown>;
	readonly #options: CalledStreamOptions;
	readonly #abort: () => void;
	/** Bytes read that the worker was not told of. */
	#read = 0;
	#isOpen = true;

	constructor(options: CalledStreamOptions) {
		this.#options = options;
		this.items = new ItemStream<Buffer, unknown>({
			open: (payload) => {
				this.#count(payload.length);
				return options.codec.decodeItem(decodeMsgpack(payload));
			},
			// A slow reader is the worker's to wait for: it stops when the window is full.
			pause: () => {},
			resume: () => {},
			leave: () => this.#cancel(),
		});
		this.#abort = () => {
			this.items.fail(cancellationError(options.signal));
			this.#cancel();
		};
		options.signal.addEventListener("abort", this.#abort, { once: true });
	}

	/** The worker has said all. */
	complete(): void {
		this.#end();
		this.items.complete();
	}

	fail(error: unknown): void {
		this.#end();
		this.items.fail(error);
	}

	/** Lets the worker send as much again. */
	#count(bytes: number): void {
		this.#read += bytes;
		if (this.#read < CREDIT_BYTES || !this.#isOpen) return;
		const credit = Buffer.allocUnsafe(4);
		credit.writeUInt32BE(this.#read, 0);
		this.#read = 0;
		this.#options.link.send(FrameKind.CREDIT, this.#options.id, credit);
	}

	#cancel(): void {
		if (!this.#isOpen) return;
		this.#end();
		this.#options.link.send(FrameKind.CANCEL, this.#options.id);
	}

	#end(): void {
		this.#isOpen = false;
		this.#options.signal.removeEventListener("abort", this.#abort);
		this.#options.onEnd();
	}
}
