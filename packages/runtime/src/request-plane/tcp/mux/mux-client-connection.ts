// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:net";
import { DynError } from "@dyn/common";
import { decodeDynamoError } from "@dyn/protocols/dynamo";
import { parseJson } from "@dyn/protocols/json";
import { decodeMsgpack, encodeMsgpack } from "@dyn/protocols/msgpack";
import { ByteQueue } from "../byte-queue.js";
import { ItemStream } from "../item-stream.js";
import { parseHostPort } from "../listen.js";
import { encodeRequestFrame, refusalError, takeAck } from "../request-frame.js";
import { FrameKind, MuxLink, WINDOW_BYTES } from "./mux-link.js";
import { MUX_PATH } from "./mux-server-connection.js";

/** Time to connect and to be accepted, ms. */
const OPEN_MS = 5000;
/** What was read is told to the worker in portions of this size. */
const CREDIT_BYTES = WINDOW_BYTES / 4;

/** The caller's end of a multiplexed connection to one worker. */
export class MuxClientConnection {
	readonly #link: MuxLink;
	readonly #streams = new Map<number, CalledStream>();
	#nextStream = 1;

	private constructor(
		link: (handlers: ConstructorParameters<typeof MuxLink>[2]) => MuxLink,
		onGone: () => void,
	) {
		this.#link = link({
			onFrame: (kind, stream, payload) => this.#receive(kind, stream, payload),
			onClose: (reason) => {
				onGone();
				for (const stream of this.#streams.values())
					stream.items.fail(new DynError("DISCONNECTED", `the connection to the worker is lost: ${reason}`));
				this.#streams.clear();
			},
		});
	}

	/** @throws DynError UNAVAILABLE @param onGone called once when it must not be used any more */
	static open(address: string, onGone: () => void): Promise<MuxClientConnection> {
		return new Promise((resolve, reject) => {
			const socket = connect({ ...parseHostPort(address), noDelay: true });
			const queue = new ByteQueue();
			const fail = (why: string, cause?: unknown) => {
				clearTimeout(late);
				socket.destroy();
				onGone();
				reject(new DynError("UNAVAILABLE", `no connection to the worker at ${address}: ${why}`, { cause }));
			};
			const late = setTimeout(() => fail(`it did not accept within ${OPEN_MS} ms`), OPEN_MS);
			const failed = (error: Error) => fail(error.message, error);
			const closed = () => fail("it closed the connection");
			socket.on("error", failed);
			socket.on("close", closed);
			socket.on("data", function accept(chunk) {
				queue.push(chunk);
				const answer = takeAck(queue);
				if (answer === null) return;
				const refusal = refusalError(answer);
				if (refusal) return fail(refusal.rawMessage, refusal);
				clearTimeout(late);
				socket.off("data", accept).off("error", failed).off("close", closed);
				resolve(new MuxClientConnection((handlers) => new MuxLink(socket, queue, handlers), onGone));
			});
			socket.write(encodeRequestFrame({ path: MUX_PATH, headers: {}, payload: Buffer.alloc(0) }));
		});
	}

	/** Begins a request; its items as plain data. @throws TypeError when the request cannot be encoded */
	call(path: string, headers: Readonly<Record<string, string>>, request: unknown): CalledStream {
		const id = this.#nextStream;
		this.#nextStream = id === 0xffffffff ? 1 : id + 1;
		const opening = Buffer.from(`${JSON.stringify({ path, headers })}\0`);
		const body = encodeMsgpack(request);
		const stream = new CalledStream(this.#link, id, () => this.#streams.delete(id));
		this.#streams.set(id, stream);
		this.#link.send(FrameKind.REQUEST, id, Buffer.concat([opening, body]));
		return stream;
	}

	close(): void {
		this.#link.destroy("it was closed here");
	}

	#receive(kind: number, id: number, payload: Buffer): void {
		const stream = this.#streams.get(id);
		if (!stream) return; // cancelled here, while its worker had sent more
		if (kind === FrameKind.ITEM) stream.items.push(payload);
		else {
			this.#streams.delete(id);
			if (kind === FrameKind.END) stream.items.complete();
			else stream.items.fail(decodeDynamoError(parse(payload)));
		}
	}
}

function parse(payload: Buffer): unknown {
	try {
		return parseJson(payload.toString());
	} catch {
		return null;
	}
}

/** One answer at the caller's end. */
export class CalledStream {
	/** Items in MessagePack, as they came. */
	readonly items: ItemStream<Buffer>;
	readonly #link: MuxLink;
	readonly #id: number;
	readonly #forget: () => void;
	#read = 0;

	constructor(link: MuxLink, id: number, forget: () => void) {
		this.#link = link;
		this.#id = id;
		this.#forget = forget;
		// A slow reader is the worker's to wait for: it stops when the window is full.
		this.items = new ItemStream<Buffer>({ pause: () => {}, resume: () => {}, leave: () => this.cancel() });
	}

	/** Decodes an item and lets the worker send as much again. */
	take(item: Buffer): unknown {
		this.#read += item.length;
		if (this.#read >= CREDIT_BYTES) {
			const credit = Buffer.allocUnsafe(4);
			credit.writeUInt32BE(this.#read, 0);
			this.#read = 0;
			this.#link.send(FrameKind.CREDIT, this.#id, credit);
		}
		return decodeMsgpack(item);
	}

	cancel(): void {
		this.#forget();
		this.#link.send(FrameKind.CANCEL, this.#id);
	}
}
