// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { ServedTarget } from "../request-plane/request-plane.js";
import { Admission } from "../request-plane/tcp/admission.js";
import { ByteQueue } from "../request-plane/tcp/byte-queue.js";
import { type ControlHeader, decodeControlHeader } from "../request-plane/tcp/control-header.js";
import { contextOf } from "../request-plane/tcp/request-context.js";
import { refusals } from "../request-plane/tcp/request-frame.js";
import { ResponseSender } from "../request-plane/tcp/response-sender.js";
import { takeTwoPart } from "../request-plane/tcp/two-part.js";
import { decodeBody } from "../request-plane/tcp/wire-format.js";
import type { NatsMessage } from "./nats-link.js";

/** Serves the requests of one instance: each is acknowledged at once, its answer goes to the address in its control header. */
export class NatsRequestServer {
	readonly #target: ServedTarget;
	readonly #admission: Admission;
	readonly #maxRunning: number;
	readonly #logger: Logger;
	readonly #answering = new Set<ResponseSender>();
	#left = false;

	constructor(target: ServedTarget, maxRunning: number, logger: Logger) {
		this.#target = target;
		this.#admission = new Admission(maxRunning, 0);
		this.#maxRunning = maxRunning;
		this.#logger = logger;
	}

	receive(message: NatsMessage): void {
		message.respond(this.#accept(message));
	}

	/** Begins a request; returns what the caller is told at once, empty for accepted (as in Dynamo). */
	#accept({ body, headers }: NatsMessage): string {
		if (this.#left) return refusals.unavailable("the endpoint is not served here any more");
		if (this.#admission.isFull) return refusals.overloaded(`${this.#maxRunning} requests are being served`);
		try {
			const queue = new ByteQueue();
			queue.push(Buffer.from(body.buffer, body.byteOffset, body.length));
			const parts = takeTwoPart(queue);
			if (!parts) return refusals.unavailable("the request is cut short");
			void this.#serve(decodeControlHeader(parts.header), parts.body, headers);
			return "";
		} catch (error) {
			return refusals.unavailable(DynError.from(error).rawMessage);
		}
	}

	/** Refuses new requests; running ones go on. */
	leave(): void {
		this.#left = true;
	}

	/** Breaks off what is being answered. */
	close(): void {
		this.leave();
		for (const sender of this.#answering) sender.destroy();
	}

	/** Never rejects: what fails is the caller's to hear. */
	async #serve(
		control: ControlHeader,
		body: Buffer,
		headers: Readonly<Record<string, string>>,
	): Promise<void> {
		const cancel = new AbortController();
		let sender: ResponseSender;
		const undeliverable = (error: unknown) => {
			const { id, address } = control;
			this.#logger.warn("an answer cannot be delivered", { request: id, address, error });
		};
		try {
			sender = new ResponseSender(control, (reason) => {
				if (reason?.cause) undeliverable(reason.cause);
				if (reason) cancel.abort(reason);
			});
		} catch (error) {
			undeliverable(error);
			return;
		}
		if (!(await this.#admission.enter(cancel.signal))) return;
		this.#answering.add(sender);
		try {
			const { codec, handler } = this.#target;
			const request = codec.decodeRequest(decodeBody(body, control.format));
			const context = contextOf(control.id, headers, cancel.signal, this.#logger);
			for await (const item of handler(request, context)) {
				if (sender.gone) return;
				const room = sender.send(codec.encodeItem(item));
				if (room) await room;
			}
			await sender.complete();
		} catch (error) {
			if (!sender.gone) await sender.fail(error).catch(() => sender.destroy());
		} finally {
			this.#answering.delete(sender);
			this.#admission.leave();
		}
	}
}
