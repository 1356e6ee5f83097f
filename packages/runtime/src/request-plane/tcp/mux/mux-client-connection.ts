// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import { decodeDynamoError } from "@dyn/protocols/dynamo";
import { parseJson } from "@dyn/protocols/json";
import { borrowMsgpack } from "@dyn/protocols/msgpack";
import type { PayloadCodec } from "../../../types.js";
import { ByteQueue } from "../byte-queue.js";
import type { ItemStream } from "../item-stream.js";
import { headersOf } from "../request-context.js";
import { encodeRequestFrame, refusalError, takeAck } from "../request-frame.js";
import type { Sockets } from "../sockets.js";
import { CalledStream } from "./called-stream.js";
import { FrameKind, MuxLink } from "./mux-link.js";
import { MUX_PATH } from "./mux-server-connection.js";

/** Time to connect and to be accepted, ms. */
const OPEN_MS = 5000;

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
					stream.fail(new DynError("DISCONNECTED", `the connection to the worker is lost: ${reason}`));
			},
		});
	}

	/** @throws DynError UNAVAILABLE @param onGone called once when it must not be used any more */
	static open(address: string, sockets: Sockets, onGone: () => void): Promise<MuxClientConnection> {
		return new Promise((resolve, reject) => {
			const socket = sockets.connect(address);
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

	/** Begins a request; its items, decoded. @throws TypeError when the request cannot be encoded */
	call(
		path: string,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): ItemStream<Buffer, unknown> {
		const omitNull = codec.nullMayBeAbsent ?? false;
		const message = { path, headers: headersOf(context), request: codec.encodeRequest(request) };
		const payload = borrowMsgpack(message, { omitNull });
		const id = this.#nextStream;
		this.#nextStream = id === 0xffffffff ? 1 : id + 1;
		const stream = new CalledStream({
			link: this.#link,
			id,
			signal: context.signal,
			codec,
			onEnd: () => this.#streams.delete(id),
		});
		this.#streams.set(id, stream);
		this.#link.send(FrameKind.REQUEST, id, payload);
		return stream.items;
	}

	close(): void {
		this.#link.destroy("it was closed here");
	}

	#receive(kind: number, id: number, payload: Buffer): void {
		const stream = this.#streams.get(id);
		if (!stream) return; // cancelled here, while its worker had sent more
		if (kind === FrameKind.ITEM) stream.items.push(payload);
		else if (kind === FrameKind.END) stream.complete();
		else if (kind === FrameKind.ERROR) stream.fail(decodeDynamoError(parse(payload)));
		// A later version may say more than this one understands.
	}
}

function parse(payload: Buffer): unknown {
	try {
		return parseJson(payload.toString());
	} catch {
		return null;
	}
}
