// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import { DynError, type Logger } from "@dyn/common";
import { encodeDynamoError, PlainData } from "@dyn/protocols/dynamo";
import { stringifyJson } from "@dyn/protocols/json";
import { borrowMsgpack, decodeMsgpack } from "@dyn/protocols/msgpack";
import type { ServedTarget, Traffic } from "../../request-plane.js";
import type { Admission } from "../admission.js";
import type { ByteQueue } from "../byte-queue.js";
import { contextOf } from "../request-context.js";
import { FrameKind, MuxLink, WINDOW_BYTES } from "./mux-link.js";

/** A request to this path, without payload, turns a request connection into a multiplexed one. */
export const MUX_PATH = "dyn.mux.1";

/** One for all, as a stack of its own takes longer than the rest of a cancellation. */
const CALLER_CANCELLED = new DynError("CANCELLED", "the caller cancelled");

export interface MuxServerOptions {
	readonly find: (path: string) => ServedTarget | null;
	readonly admission: Admission;
	readonly logger: Logger;
}

/** The worker's end of a multiplexed connection. */
export class MuxServerConnection {
	readonly #link: MuxLink;
	readonly #options: MuxServerOptions;
	readonly #streams = new Map<number, ServedStream>();

	constructor(socket: Socket, queue: ByteQueue, options: MuxServerOptions) {
		this.#options = options;
		this.#link = new MuxLink(socket, queue, {
			onFrame: (kind, stream, payload) => this.#receive(kind, stream, payload),
			onClose: (reason) => {
				const gone = new DynError("CANCELLED", `the caller is gone: ${reason}`);
				for (const stream of this.#streams.values()) stream.cancel(gone);
			},
		});
	}

	#receive(kind: number, id: number, payload: Buffer): void {
		if (kind === FrameKind.REQUEST) void this.#serve(id, payload);
		else if (kind === FrameKind.CREDIT) this.#streams.get(id)?.grant(payload.readUInt32BE(0));
		else if (kind === FrameKind.CANCEL) this.#streams.get(id)?.cancel(CALLER_CANCELLED);
	}

	/** Never rejects: what fails is the caller's to hear. */
	async #serve(id: number, payload: Buffer): Promise<void> {
		const { admission } = this.#options;
		const stream = new ServedStream();
		this.#streams.set(id, stream);
		let isAdmitted = false;
		let traffic: Traffic | undefined;
		let sentBytes = 0;
		try {
			const { target, headers, data } = this.#open(payload);
			const { codec } = target;
			const omitNull = codec.nullMayBeAbsent ?? false;
			if (admission.refuses()) throw new DynError("OVERLOADED", "too many requests wait here");
			isAdmitted = await admission.enter(stream.signal);
			if (!isAdmitted) return;
			traffic = target.traffic;
			const request = codec.decodeRequest(data);
			const context = contextOf(
				headers["request-id"] ?? `stream-${id}`,
				headers,
				stream.signal,
				this.#options.logger,
			);
			for await (const item of target.handler(request, context)) {
				if (stream.isCancelled) return;
				const bytes = borrowMsgpack(codec.encodeItem(item), { omitNull });
				this.#link.send(FrameKind.ITEM, id, bytes);
				sentBytes += bytes.length;
				const room = stream.spend(bytes.length);
				if (room) await room;
			}
			if (!stream.isCancelled) this.#link.send(FrameKind.END, id);
		} catch (error) {
			if (!stream.isCancelled)
				this.#link.send(FrameKind.ERROR, id, Buffer.from(stringifyJson(encodeDynamoError(error))));
		} finally {
			this.#streams.delete(id);
			traffic?.(payload.length, sentBytes);
			if (isAdmitted) admission.leave();
		}
	}

	#open(payload: Buffer): {
		readonly target: ServedTarget;
		readonly headers: Readonly<Record<string, string>>;
		/** The request as plain data. */
		readonly data: unknown;
	} {
		const opening = new PlainData(decodeMsgpack(payload), "opening");
		const path = opening.string("path") ?? "";
		const target = this.#options.find(path);
		if (!target) throw new DynError("UNAVAILABLE", `unknown endpoint ${path}`);
		return {
			target,
			headers: (opening.raw("headers") ?? {}) as Readonly<Record<string, string>>,
			data: opening.raw("request"),
		};
	}
}

/** What the caller still takes of one answer. */
class ServedStream {
	readonly #cancel = new AbortController();
	#credit = WINDOW_BYTES;
	#granted: (() => void) | null = null;
	#isCancelled = false;

	/** As `signal.aborted`, which takes long to ask for every item. */
	get isCancelled(): boolean {
		return this.#isCancelled;
	}

	get signal(): AbortSignal {
		return this.#cancel.signal;
	}

	cancel(reason: DynError): void {
		this.#isCancelled = true;
		this.#cancel.abort(reason);
		this.#wake();
	}

	grant(bytes: number): void {
		this.#credit += bytes;
		if (this.#credit > 0) this.#wake();
	}

	/** Resolves when more may be sent. */
	spend(bytes: number): Promise<void> | void {
		this.#credit -= bytes;
		if (this.#credit > 0 || this.#isCancelled) return;
		return new Promise((resolve) => {
			this.#granted = resolve;
		});
	}

	#wake(): void {
		this.#granted?.();
		this.#granted = null;
	}
}
